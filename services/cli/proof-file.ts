// A proof as a file: fetched, checked against its name, which is the SHA-256 of its bytes, and there
// whole or not at all.

import { createHash, randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { lastPart } from "./proof-names.ts";
import type { Session } from "./session.ts";

/**
 * Saves the file of a proof; gives its path.
 * @throws CommandError where the bytes are not those of the proof.
 */
export async function saveProof(session: Session, name: string, path: string): Promise<string> {
  const { file } = await session.proofs.exportProof({ name }, session.call);
  const found = createHash("sha256").update(file).digest("hex");
  if (found !== lastPart(name)) {
    throw new CommandError(
      `The proof arrived damaged: SHA-256 ${found}, its id is ${lastPart(name)}.`,
      {
        exitCode: ExitCode.failed,
        advice: ["Try again; if it stays so, the stored file is damaged: see the server's log."],
      },
    );
  }
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, file);
  return path;
}

/** Writes beside the path and gives the file its name when it is whole. */
export async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const partial = `${path}.${randomUUID().slice(0, 8)}.part`;
  try {
    await writeFile(partial, content, { flag: "wx", flush: true });
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}
