// `plinth circuits contribute|upload`: contributions to a key. The random number is drawn on this
// machine, in a process of its own that ends with it; only the key that it made travels.

import { createReadStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Circuit, CircuitSchema } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import {
  ExportCircuitRequest_File as File,
  type UploadContributionRequestSchema,
} from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { Aborted } from "../common/errors/domain-error.ts";
import { saveFile } from "./circuits-export.ts";
import { circuitAdvice } from "./circuits-words.ts";
import { UsageError } from "./exit-codes.ts";
import { jobBar } from "./job-bar.ts";
import { messageJson } from "./output.ts";
import { bytesBar, counted } from "./progress.ts";
import { resolveOneCircuit, shortCircuit } from "./proof-names.ts";
import type { Session } from "./session.ts";

interface ContributeOptions {
  readonly name: string;
  readonly key?: string;
  readonly out?: string;
}

/** A sixteenth of the protocol's limit: enough for the rate, small enough for a smooth bar. */
const CHUNK_BYTES = 256 * 1024;

/** Others may hand in a contribution between our fetching the key and handing in ours. */
const TRIES_MAX = 3;

/** `plinth circuits contribute` */
export async function contribute(
  session: Session,
  [text]: readonly [string | undefined],
  { name, key, out }: ContributeOptions,
): Promise<void> {
  if ((text === undefined) === (key === undefined) || (key === undefined) !== (out === undefined)) {
    throw new UsageError(
      "Name the circuit, or give --key <file.zkey> with --out <file.zkey> to contribute to a file.",
    );
  }
  if (text !== undefined) {
    return contributeTo(session, await resolveOneCircuit(session, text), name);
  }
  const { output } = session;
  const hash = await contributed(session, { challenge: key ?? "", to: out ?? "", name });
  if (output.json) {
    output.value({ file: out ?? "", contributor: name, hash });
    return;
  }
  output.line(`${out} is the contributed key; send it back to whoever runs the ceremony.`);
  tellHash(session, hash);
}

/** `plinth circuits upload` */
export async function uploadContribution(
  session: Session,
  [text, path]: readonly [string, string],
  options: { readonly etag?: string },
): Promise<void> {
  const name = await resolveOneCircuit(session, text);
  // Shells take the quotes of an etag away.
  const etag = options.etag === undefined ? "" : `"${options.etag.replaceAll('"', "")}"`;
  const circuit = await handIn(session, { name, etag, path });
  if (session.output.json) {
    return session.output.message(CircuitSchema, circuit);
  }
  tellTaken(session, circuit);
}

async function contributeTo(session: Session, name: string, contributor: string): Promise<void> {
  const { output } = session;
  const folder = await mkdtemp(join(tmpdir(), "plinth-contribution-"));
  try {
    const challenge = join(folder, "current.zkey");
    const path = join(folder, "contributed.zkey");
    for (let tries = 1; ; tries += 1) {
      const { file } = await saveFile(session, { name, file: File.PROVING_KEY }, challenge);
      const hash = await contributed(session, { challenge, to: path, name: contributor });
      try {
        const circuit = await handIn(session, { name, etag: file.etag, path });
        if (output.json) {
          output.value({ contributor, hash, circuit: await messageJson(CircuitSchema, circuit) });
        } else {
          tellTaken(session, circuit);
          tellHash(session, hash);
        }
        return;
      } catch (error) {
        if (!(error instanceof Aborted) || tries >= TRIES_MAX) {
          throw error;
        }
        output.note("Somebody else contributed meanwhile; contributing to their key.");
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Contributes on this machine; gives the hash to publish. */
async function contributed(
  session: Session,
  files: { readonly challenge: string; readonly to: string; readonly name: string },
): Promise<string> {
  // For a missing file the file system says it best.
  await stat(files.challenge);
  const { contributeToKey } = await import("../proofs/prover/contribute.ts");
  using bar = await jobBar({ show: session.output.showsProgress, title: "Contributing" });
  const onProgress = (phase: string): void => bar.update({ phase, done: 0, total: 0, unit: "" });
  const { hash } = await contributeToKey(files, { signal: session.signal, onProgress });
  return hash;
}

async function handIn(
  session: Session,
  { name, etag, path }: { readonly name: string; readonly etag: string; readonly path: string },
): Promise<Circuit> {
  const { output, signal } = session;
  const facts = await stat(path);
  if (facts.isDirectory()) {
    throw new UsageError(`"${path}" is a folder; name a .zkey file.`);
  }
  const title = `Uploading ${basename(path)}`;
  using bar = await bytesBar({ show: output.showsProgress, title, total: facts.size });
  let sent = 0;
  async function* requests(): AsyncGenerator<
    MessageInitShape<typeof UploadContributionRequestSchema>
  > {
    yield { payload: { case: "start", value: { name, etag } } };
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal })) {
      yield { payload: { case: "chunk", value: chunk as Buffer } };
      sent += (chunk as Buffer).length;
      bar.update(sent, sent === facts.size ? "being verified" : "");
    }
  }
  return session.circuits.uploadContribution(requests(), session.call);
}

function tellTaken({ output }: Session, circuit: Circuit): void {
  const contributions = circuit.setup?.contributions ?? [];
  const last = contributions.at(-1);
  output.line(
    `${shortCircuit(circuit.name)} has ${counted(contributions.length, "contribution")} now, ` +
      `the last by ${JSON.stringify(last?.name ?? "")}.`,
  );
  for (const line of circuitAdvice(circuit)) {
    output.note(line);
  }
}

function tellHash({ output }: Session, hash: string): void {
  output.line(`contribution hash: ${hash}`);
  output.note(
    "Publish the hash: whoever finds it in the transcript knows that the contribution counts.",
  );
}
