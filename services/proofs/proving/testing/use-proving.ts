// For tests of proving: the handlers on real stores, a real workshop and a real prover, called over
// a connection; and circuits of small models, compiled and with a key.

import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, toJson } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import {
  type CircuitOptions_InputMode,
  CircuitOptionsSchema,
} from "../../../../gen/plinth/proofs/v1/circuit_pb.js";
import type { ProofJob } from "../../../../gen/plinth/proofs/v1/proof_pb.js";
import { ProofService } from "../../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { anonymous, type Principal } from "../../../common/auth/principal.ts";
import { openBlobStore } from "../../../common/blobs/open.ts";
import type { BlobStore } from "../../../common/blobs/port.ts";
import { type Clock, systemClock } from "../../../common/clock.ts";
import { parseSettings } from "../../../common/config.ts";
import type { DocumentStore } from "../../../common/documents/port.ts";
import { requestStamp } from "../../../common/documents/request-stamp.ts";
import { withoutStamps } from "../../../common/documents/resource.ts";
import { openSqliteStore } from "../../../common/documents/sqlite.ts";
import { Channel, createClient } from "../../../common/rpc/client.ts";
import { bindService, type Client } from "../../../common/rpc/context.ts";
import { startRpcServer } from "../../../common/rpc/server.ts";
import { createLogger } from "../../../common/telemetry/log.ts";
import { encodeModel, floats } from "../../../common/testing/onnx-writer.ts";
import type { Circuit } from "../../circuits/circuit.ts";
import { CircuitFiles } from "../../circuits/circuit-files.ts";
import { CircuitStore } from "../../circuits/circuit-store.ts";
import { wireOptionsOf } from "../../circuits/options-of.ts";
import type { CompileOptions } from "../../compiler/compile-model.ts";
import { type ProofsConfig, proofsSettings } from "../../config.ts";
import { createEvents, type ProofsEvents } from "../../events.ts";
import { type BuiltinProver, openBuiltinProver } from "../../prover/builtin-driver.ts";
import { openWorkshop, type ProcessWorkshop } from "../../workshop/workshop.ts";
import { openProving, type Proving } from "../proving.ts";
import { provingCodecs } from "../watch-message.ts";

export const VERSION = "workspaces/w/models/m/versions/1";

/** Whole numbers from -128 to 127 are taken. */
const BYTES: CompileOptions = { inputs: { x: { scaleBits: 0, lo: -128, hi: 127 } } };

export interface ProvingRig extends AsyncDisposable {
  readonly proving: Proving;
  readonly client: Client<typeof ProofService>;
  readonly address: string;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly circuits: CircuitStore;
  readonly files: CircuitFiles;
  readonly workshop: ProcessWorkshop;
  readonly prover: BuiltinProver;
  readonly folder: string;
  readonly scratchDir: string;
}

export interface RigOptions {
  /** State of this or an earlier life. */
  readonly folder: string;
  /** Absent: a store in the folder, which is closed in the end. */
  readonly documents?: DocumentStore;
  readonly config?: Partial<ProofsConfig>;
  readonly principal?: Principal;
  readonly clock?: Clock;
  readonly registry?: Channel;
  readonly events?: Partial<ProofsEvents>;
  /** Changes what blobs are removed with. */
  readonly blobs?: (blobs: BlobStore) => BlobStore;
}

/** Proving on a folder; nothing is proved before `proving.start()`. */
export async function startProving(options: RigOptions): Promise<ProvingRig> {
  const { folder, principal = anonymous, clock = systemClock, registry } = options;
  await using stack = new AsyncDisposableStack();
  const path = join(folder, "store.db");
  const documents = options.documents ?? stack.use(await openSqliteStore({ path, clock }));
  const blobs = stack.use(await openBlobStore(`file:${join(folder, "blobs")}`));
  const workshop = stack.use(openWorkshop({ memoryBytesMax: 2 ** 30, compileTimeoutMs: 60_000 }));
  const prover = stack.use(openBuiltinProver({ threads: 1 }));
  const scratchDir = join(folder, "scratch");
  const files = new CircuitFiles({ blobs, scratchDir });
  const circuits = await CircuitStore.open(documents, { clock });
  const log = createLogger({ service: "proofs", level: "off" });
  const proving = stack.use(
    await openProving({
      config: { ...parseSettings({}, proofsSettings), jobLeaseMs: 2_000, ...options.config },
      documents,
      clock,
      events: { ...createEvents(log), ...options.events },
      blobs: options.blobs?.(blobs) ?? blobs,
      circuits,
      files,
      workshop,
      prover,
      registry,
    }),
  );
  const server = stack.use(
    await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      bindings: [bindService(ProofService, proving.handlers, provingCodecs)],
      authenticate: () => principal,
    }),
  );
  const { address } = server;
  const channel = stack.use(new Channel({ address, timeoutMs: 60_000 }));
  const client = createClient(ProofService, channel);
  const owned = stack.move();
  return {
    ...{ proving, client, address, documents, blobs, circuits, files, workshop, prover },
    ...{ folder, scratchDir },
    async [Symbol.asyncDispose]() {
      await proving.drain();
      await owned.disposeAsync();
    },
  };
}

/** As startProving, ended with the test. */
export async function useProving(options: RigOptions): Promise<ProvingRig> {
  const rig = await startProving(options);
  onTestFinished(async () => await rig[Symbol.asyncDispose]());
  return rig;
}

/** y = W x with W of 2 rows, weights by `seed`; x has 4 values. */
export function layerModel(seed: number): Uint8Array {
  const weights = Array.from({ length: 8 }, (_, at) => ((at * 7 + seed * 13) % 11) - 5);
  return encodeModel({
    nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    inputs: [{ name: "x", shape: ["N", 4] }],
    outputs: [{ name: "y" }],
    initializers: [floats("w", [4, 2], weights)],
  });
}

/** What layerModel gives for one row. */
export function layerOutput(seed: number, x: readonly number[]): string[] {
  const weights = Array.from({ length: 8 }, (_, at) => ((at * 7 + seed * 13) % 11) - 5);
  return [0, 1].map((j) =>
    String(x.reduce((sum, value, i) => sum + value * weights[2 * i + j]!, 0)),
  );
}

export interface CircuitGiven {
  readonly id?: string;
  readonly workspace?: string;
  readonly seed?: number;
  readonly inputMode?: CircuitOptions_InputMode;
  readonly context?: boolean;
  readonly model?: { readonly onnx: Uint8Array; readonly options: CompileOptions };
  /** A PLONK key from these powers of tau. Absent: a Groth16 key for development. */
  readonly ptau?: string;
}

/** A circuit that is READY and active; gives its name. */
export async function addCircuit(rig: ProvingRig, given: CircuitGiven = {}): Promise<string> {
  const { circuits, files, prover, workshop } = rig;
  const { id = "c", workspace = "w", seed = 1 } = given;
  const { onnx = layerModel(seed), options: model = BYTES } = given.model ?? {};
  const options = create(CircuitOptionsSchema, {
    inputMode: given.inputMode ?? 0,
    context: given.context ?? false,
  });
  await using scratch = await files.scratch("test");
  const path = join(scratch.path, "model.onnx");
  writeFileSync(path, onnx);
  const compiled = await workshop.compile({
    onnx: path,
    model,
    circuit: wireOptionsOf(options),
    folder: scratch.path,
  });
  const zkey = join(scratch.path, "circuit.zkey");
  const r1cs = compiled.constraints;
  const record = await (given.ptau === undefined
    ? prover.devSetup({ r1cs, zkey })
    : prover.plonkSetup({ r1cs, zkey, ptau: given.ptau }));
  const modelVersion = VERSION.replace("/w/", `/${workspace}/`);
  const name = `${modelVersion}/circuits/${id}`;
  const stored = await circuits.jobs.create({
    name,
    uid: randomUUID(),
    workspace,
    actor: "anonymous",
    stamp: requestStamp({ method: "m", parent: modelVersion, requestId: "", bytes: Buffer.of() }),
    modelVersion,
    modelVersionUid: "uid",
    modelDigest: "1".repeat(64),
    options: toJson(CircuitOptionsSchema, options) as Circuit["options"],
    calibrationData: null,
    active: false,
    proveMs: [],
    compiled: {
      constraints: await files.store(r1cs),
      model: await files.store(compiled.model),
      constraintsBytes: compiled.constraintsBytes,
      schema: compiled.schema,
      schemaHash: compiled.schemaHash,
      calibration: {},
      report: { constraints: compiled.report.constraints },
    },
    key: {
      zkey: await files.store(zkey),
      record,
      contributionTimes: [],
      setupMs: 1,
      verified: false,
    },
  });
  const done = { ...withoutStamps<Circuit>(stored), state: "SUCCEEDED" } as const;
  await circuits.jobs.collection.replaceOne(done, { ifVersion: stored.version });
  await circuits.activate(name);
  return name;
}

/** Rows of the inputs of layerModel, all different. */
export function rowsOfX(count: number, offset = 0): number[][] {
  return Array.from({ length: count }, (_, row) =>
    [1, 2, 3, 4].map((n) => ((n * (row + offset + 3) * 17) % 256) - 128),
  );
}

/** Asks for proofs of rows. */
export function request(circuit: string, rows: readonly (readonly number[])[], more: object = {}) {
  return { circuit, rows: rows.length, inputs: [{ name: "x", floats: rows.flat() }], ...more };
}

/** The job once it has ended, or is as wanted. */
export async function watched(
  { client }: Pick<ProvingRig, "client">,
  name: string,
  isWanted: (job: ProofJob) => boolean = (job) => job.endTime !== undefined,
): Promise<ProofJob> {
  for await (const { proofJob } of client.watchProof({ name }, { timeoutMs: 60_000 })) {
    if (proofJob !== undefined && isWanted(proofJob)) {
      return proofJob;
    }
  }
  throw new Error(`${name} did not come to be as wanted`);
}

/** The logistic regression of the examples, with rows of its held-out data. */
export function logisticExample() {
  const path = "examples/breast-cancer/logistic";
  const heldOut = JSON.parse(readFileSync(`${path}.heldout.json`, "utf8")) as {
    readonly inputs: Readonly<Record<string, { readonly data: number[] }>>;
  };
  const data = heldOut.inputs.features!.data;
  const calibration = { rows: data.length / 30, inputs: { features: data } };
  const model = { onnx: readFileSync(`${path}.onnx`), options: { calibration } };
  return { model, row: (index: number) => data.slice(index * 30, (index + 1) * 30) };
}
