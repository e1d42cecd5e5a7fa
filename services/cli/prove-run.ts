// `plinth prove`: what the circuit gives for the rows, at once; then the proofs, as they are made.

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { create, type JsonObject } from "@bufbuild/protobuf";
import type { Proof, ProofJob } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { WatchProofResponseSchema } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { PermissionDenied } from "../common/errors/domain-error.ts";
import { DEVELOPMENT_PROOF_WARNING } from "./circuits-words.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { formatDuration, shortDigest } from "./format.ts";
import { messageJson } from "./output.ts";
import { saveProof } from "./proof-file.ts";
import { outputText } from "./proof-lines.ts";
import {
  lastPart,
  resolveCircuit,
  shortCircuit,
  shortJob,
  versionOfCircuit,
} from "./proof-names.ts";
import { provedJob, wayBack } from "./proof-watch.ts";
import { RowInputs, type RowModel, type RowValues, refused } from "./prove-inputs.ts";
import { isBad, openRows, place, type RowSource, type RowSourceOptions } from "./row-source.ts";
import type { Session } from "./session.ts";

interface ProveOptions extends RowSourceOptions {
  readonly context?: Uint8Array;
  readonly inferenceId?: string;
  readonly salts?: readonly string[];
  readonly priority?: number;
  readonly out?: string;
  /** False: --no-wait. */
  readonly wait: boolean;
}

/** The protocol's limits. */
const ROWS_MAX = 1000;
const CONTEXT_BYTES_MAX = 31;

/** Evaluating a large circuit for many rows takes longer than a call usually may. */
const EVALUATE_MS = 300_000;

/** `plinth prove` */
export async function prove(
  session: Session,
  [text]: readonly [string],
  options: ProveOptions,
): Promise<void> {
  const { output } = session;
  const { out, wait, context = new Uint8Array() } = options;
  if (context.length > CONTEXT_BYTES_MAX) {
    throw new UsageError(`--context has ${context.length} bytes; up to 31 are possible.`);
  }
  if (out !== undefined && !wait) {
    throw new UsageError("--out writes proofs that are made; without waiting there are none yet.");
  }
  const source = await openRows(options, session.signal);
  const circuit = await resolveCircuit(session, text);
  const inputs = new RowInputs(await modelOf(session, circuit));
  const rows = await readRows(source, inputs);
  const started = await session.proofs.proveInference(
    {
      circuit,
      rows: rows.length,
      inputs: inputs.messages(rows),
      context,
      inferenceId: options.inferenceId ?? "",
      priority: options.priority ?? 0,
      requestId: randomUUID(),
      salts: [...(options.salts ?? [])],
    },
    { ...session.call, timeoutMs: session.call.timeoutMs ?? EVALUATE_MS },
  );
  if (!output.json) {
    tellAnswers(session, started);
  }
  if (!wait) {
    await tellStarted(session, started);
    return;
  }
  const files = new Map<string, string>();
  const save = async (proof: Proof): Promise<void> => {
    if (out !== undefined && !files.has(proof.name)) {
      files.set(proof.name, await saveProof(session, proof.name, join(out, fileName(proof))));
    }
  };
  const { job, proofs } = await provedJob(session, started, save);
  await tellProofs(session, { job, proofs, files });
}

/** What says how rows are read; undefined for a key that may predict and no more. */
async function modelOf(session: Session, circuit: string): Promise<RowModel | undefined> {
  try {
    const name = versionOfCircuit(circuit);
    return await session.models.getModelVersion({ name }, session.call);
  } catch (error) {
    if (error instanceof PermissionDenied) {
      return undefined;
    }
    throw error;
  }
}

async function readRows(source: RowSource, inputs: RowInputs): Promise<readonly RowValues[]> {
  const rows: RowValues[] = [];
  for await (const row of source.rows) {
    if (isBad(row)) {
      throw new CommandError(`${place(row)} cannot be read: ${row.fault}.`, {
        exitCode: ExitCode.invalidInput,
        advice: ["Nothing was proved."],
      });
    }
    const [unknown] = inputs.unknown(row);
    if (unknown !== undefined) {
      throw refused(row, `the model has no "${unknown}"`);
    }
    rows.push(inputs.read(row));
    if (rows.length > ROWS_MAX) {
      throw new CommandError(`The input has more than ${ROWS_MAX} rows.`, {
        exitCode: ExitCode.invalidInput,
        advice: ["Prove them in parts; nothing was proved."],
      });
    }
  }
  if (rows.length === 0) {
    throw new CommandError("The input has no rows.", { exitCode: ExitCode.invalidInput });
  }
  return rows;
}

function tellAnswers({ output }: Session, { rows }: ProofJob): void {
  output.table(
    [{ title: "ROW", align: "right" }, { title: "OUTPUT OF THE CIRCUIT" }],
    rows.map((row, i) => [String(i + 1), row.output === undefined ? "" : outputText(row.output)]),
    "",
  );
  for (const [i, { salt }] of rows.entries()) {
    if (salt !== "") {
      output.line(`salt of row ${i + 1}: ${salt}`);
    }
  }
}

async function tellStarted({ output }: Session, job: ProofJob): Promise<void> {
  if (output.json) {
    const started = create(WatchProofResponseSchema, { proofJob: job });
    return output.message(WatchProofResponseSchema, started);
  }
  output.line(`${shortJob(job.name)} proves them with ${shortCircuit(job.circuit)}.`);
  output.note(wayBack(job.name));
  if (job.development) {
    output.warning(DEVELOPMENT_PROOF_WARNING);
  }
}

interface Made {
  readonly job: ProofJob;
  readonly proofs: readonly Proof[];
  /** By name of the proof. */
  readonly files: ReadonlyMap<string, string>;
}

async function tellProofs({ output }: Session, { job, proofs, files }: Made): Promise<void> {
  if (output.json) {
    const message = create(WatchProofResponseSchema, { proofJob: job, proofs: [...proofs] });
    const json = (await messageJson(WatchProofResponseSchema, message)) as JsonObject;
    output.value({ ...json, files: proofs.flatMap(({ name }) => files.get(name) ?? []) });
  } else {
    output.line("");
    output.table(
      [
        { title: "ROW", align: "right" },
        { title: "PROOF" },
        { title: "PROVED IN", align: "right" },
        { title: files.size === 0 ? "" : "FILE" },
      ],
      proofs.map(({ name, row, timings }) => [
        String(row + 1),
        shortDigest(lastPart(name)),
        formatDuration(timings?.prove),
        files.get(name) ?? "",
      ]),
      "No proofs.",
    );
    for (const line of adviceLines(job, proofs, files)) {
      output.note(line);
    }
  }
  if (job.development) {
    output.warning(DEVELOPMENT_PROOF_WARNING);
  }
}

function adviceLines(
  { circuit }: ProofJob,
  [first]: readonly Proof[],
  files: ReadonlyMap<string, string>,
): readonly string[] {
  if (first === undefined || first.verifyingKeyHash === "") {
    return first === undefined
      ? []
      : ["A PLONK proof is verified by snarkjs: snarkjs plonk verify."];
  }
  const short = shortCircuit(circuit);
  const saved = files.get(first.name);
  const id = lastPart(first.name).slice(0, 12);
  const path = saved ?? `proof-${id}.json`;
  return [
    "Verify it anywhere, without a server:",
    ...(saved === undefined ? [`  plinth proof download ${id} --out ${path}`] : []),
    `  plinth circuits export ${short} --file verifying-key`,
    `  plinth proof verify ${path} --key verifying-key.json \\`,
    `    --vk-hash ${first.verifyingKeyHash} \\`,
    `    --schema-hash ${first.schemaHash}`,
  ];
}

/** Its row, and enough of its id that no other proof is overwritten. */
function fileName({ name, row }: Proof): string {
  return `proof-${row + 1}-${lastPart(name).slice(0, 12)}.json`;
}
