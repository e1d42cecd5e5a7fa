// `plinth circuits export`: a file of a circuit, streamed to disk beside its final place, checked
// against its SHA-256 and only then given its name.

import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type ExportedFile,
  ExportCircuitRequest_File as File,
} from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { bytesBar, formatBytes } from "./progress.ts";
import { resolveCircuit, shortCircuit } from "./proof-names.ts";
import type { Session } from "./session.ts";

interface ExportOptions {
  readonly file: keyof typeof FILES;
  readonly out?: string;
}

const FILES = {
  constraints: File.CONSTRAINTS,
  "proving-key": File.PROVING_KEY,
  "verifying-key": File.VERIFYING_KEY,
  solidity: File.SOLIDITY,
  "solc-input": File.SOLC_INPUT,
  abi: File.ABI,
  model: File.MODEL,
  transcript: File.TRANSCRIPT,
  "test-vector": File.TEST_VECTOR,
} as const;

/** `plinth circuits export` */
export async function exportFile(
  session: Session,
  [text]: readonly [string],
  options: ExportOptions,
): Promise<void> {
  const { output } = session;
  const name = await resolveCircuit(session, text);
  const { file, path } = await saveFile(session, { name, file: FILES[options.file] }, options.out);
  if (output.json) {
    const { sha256, etag } = file;
    output.value({ name, file: path, sizeBytes: Number(file.sizeBytes), sha256, etag });
    return;
  }
  const size = formatBytes(Number(file.sizeBytes));
  output.line(`${path}: ${options.file} of ${shortCircuit(name)}, ${size}, SHA-256 ${file.sha256}`);
  if (options.file === "proving-key") {
    output.note(
      `A contribution to this key is handed in with --etag ${file.etag.replaceAll('"', "")}`,
    );
  }
}

/**
 * Saves a file of a circuit; a folder is given the file under its own name. It is there whole or
 * not at all.
 * @throws CommandError where it arrived damaged.
 */
export async function saveFile(
  session: Session,
  request: { readonly name: string; readonly file: File },
  out: string | undefined,
): Promise<{ readonly file: ExportedFile; readonly path: string }> {
  const stream = session.circuits.exportCircuit(request, session.call)[Symbol.asyncIterator]();
  try {
    const first = await stream.next();
    const file = first.done === true ? undefined : first.value.payload.value;
    if (file === undefined || file instanceof Uint8Array) {
      throw damaged("the server did not say what file it is");
    }
    const path = await pathOf(out, file);
    await mkdir(dirname(path), { recursive: true });
    const partial = `${path}.${randomUUID().slice(0, 8)}.part`;
    try {
      const chunks = chunksOf(stream);
      const found = await receive(session, chunks, { partial, total: Number(file.sizeBytes) });
      if (found !== file.sha256) {
        throw damaged(`SHA-256 ${found}, expected ${file.sha256}`);
      }
      await rename(partial, path);
    } finally {
      await rm(partial, { force: true });
    }
    return { file, path };
  } finally {
    await stream.return?.(undefined);
  }
}

type Messages = AsyncIterator<{
  readonly payload: { readonly value?: ExportedFile | Uint8Array | undefined };
}>;

async function* chunksOf(stream: Messages): AsyncGenerator<Uint8Array> {
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
    const { value } = next.value.payload;
    if (value instanceof Uint8Array) {
      yield value;
    }
  }
}

/** Where the file goes. What the server calls it never leaves the folder. */
async function pathOf(out: string | undefined, { fileName }: ExportedFile): Promise<string> {
  const own = basename(fileName.replaceAll("\\", "/")) || "file";
  if (out === undefined) {
    return own;
  }
  const isFolder = out.endsWith("/") || (await stat(out).catch(() => undefined))?.isDirectory();
  return isFolder === true ? join(out, own) : out;
}

/** Writes the chunks to a new file and gives the SHA-256 of what came. */
async function receive(
  session: Session,
  chunks: AsyncIterable<Uint8Array>,
  { partial, total }: { readonly partial: string; readonly total: number },
): Promise<string> {
  await using file: FileHandle = await open(partial, "wx");
  using bar = await bytesBar({ show: session.output.showsProgress, title: "Downloading", total });
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    await file.writeFile(chunk);
    received += chunk.length;
    bar.update(received);
  }
  await file.sync();
  return hash.digest("hex");
}

function damaged(what: string): CommandError {
  return new CommandError(`The file arrived damaged: ${what}.`, {
    exitCode: ExitCode.failed,
    advice: ["Try again; if it stays so, the stored file is damaged: see the server's log."],
  });
}
