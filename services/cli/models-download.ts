// `plinth models download`: a version's file, streamed to disk beside its final place, checked
// against its SHA-256 and only then given its name.

import { createHash, randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { bytesBar, formatBytes } from "./progress.ts";
import type { Session } from "./session.ts";
import { parseVersion, shortName } from "./version-reference.ts";

/** `plinth models download` */
export async function downloadModel(
  session: Session,
  [text]: readonly [string],
  options: { readonly output: string },
): Promise<void> {
  const { output } = session;
  const name = parseVersion(text, session.workspace);
  const version = await session.models.getModelVersion({ name }, session.call);
  const total = Number(version.artifact?.sizeBytes ?? 0n);
  const expected = version.artifact?.sha256 ?? "";
  const partial = `${options.output}.${randomUUID().slice(0, 8)}.part`;
  try {
    const found = await receive(session, { name: version.name, total, partial });
    if (found !== expected) {
      throw new CommandError(`The file arrived damaged: SHA-256 ${found}, expected ${expected}.`, {
        exitCode: ExitCode.failed,
        advice: ["Try again; if it stays so, the stored file is damaged: see the server's log."],
      });
    }
    await rename(partial, options.output);
  } finally {
    await rm(partial, { force: true });
  }
  if (output.json) {
    output.value({ name: version.name, file: options.output, sizeBytes: total, sha256: expected });
  } else {
    output.line(
      `${shortName(version.name)} is in ${options.output} (${formatBytes(total)}, SHA-256 checked).`,
    );
  }
}

/** Writes the stream to the file and gives the SHA-256 of what came. */
async function receive(
  session: Session,
  {
    name,
    total,
    partial,
  }: { readonly name: string; readonly total: number; readonly partial: string },
): Promise<string> {
  const { output } = session;
  await using file = await open(partial, "wx");
  using bar = await bytesBar({ show: output.showsProgress, title: "Downloading", total });
  const hash = createHash("sha256");
  let offset = 0;
  for await (const { chunk } of session.models.downloadArtifact({ name }, session.call)) {
    hash.update(chunk);
    await file.write(chunk, 0, chunk.length, offset);
    offset += chunk.length;
    bar.update(offset);
  }
  await file.sync();
  return hash.digest("hex");
}
