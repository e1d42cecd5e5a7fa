// For tests of ceremonies: a server with a client, circuits whose first key was made from small
// powers of tau, and parties that contribute.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { create, toJson } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import {
  CircuitOptions_Setup,
  CircuitOptionsSchema,
} from "../../../../gen/plinth/proofs/v1/circuit_pb.js";
import { CircuitService } from "../../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import type { Stored } from "../../../common/documents/port.ts";
import { requestStamp } from "../../../common/documents/request-stamp.ts";
import { withoutStamps } from "../../../common/documents/resource.ts";
import { Channel, createClient } from "../../../common/rpc/client.ts";
import type { Client } from "../../../common/rpc/context.ts";
import { useFolder } from "../../../common/testing/use-folder.ts";
import type { Circuit, KeyDocument } from "../../circuits/circuit.ts";
import { circuitEtag } from "../../circuits/circuit-store.ts";
import { fileDigest } from "../../prover/section-file.ts";
import {
  denseGraph,
  runSnarkjs,
  smallPtau,
  type CircuitFiles as TestFiles,
  writeCircuit,
} from "../../prover/testing/files.ts";
import { type StartedCeremonies, type StartOptions, startCeremonies } from "./start-ceremonies.ts";

export const PARENT = "workspaces/w";
export const POWERS_OF_TAU = `${PARENT}/powersOfTau/small`;

/** Circuits with a domain of up to 2^this fit; making them takes seconds, once. */
export const POWER = 8;

export const BEACON = "0102030405060708090a0b0c0d0e0f10";

/** The methods of ceremonies, called over a connection. */
export type CeremonyClient = Pick<
  Client<typeof CircuitService>,
  | "importPowersOfTau"
  | "listPowersOfTau"
  | "deletePowersOfTau"
  | "uploadContribution"
  | "applyBeacon"
>;

export interface TestCeremonies extends StartedCeremonies {
  readonly client: CeremonyClient;
  readonly folder: string;
  /** Path of the small powers of tau. */
  readonly ptau: string;
}

/** A folder of an earlier life may be given. */
export type CeremonyOptions = Partial<StartOptions>;

const SERVER = fileURLToPath(new URL("./ceremony-server.ts", import.meta.url));

/** Everything that ceremonies need, ended with the test. */
export async function useCeremonies(options: CeremonyOptions = {}): Promise<TestCeremonies> {
  const folder = options.folder ?? useFolder();
  const started = await startCeremonies({ ...options, folder });
  onTestFinished(async () => await started[Symbol.asyncDispose]());
  return { ...started, client: useClient(started.address), folder, ptau: await smallPtau(POWER) };
}

/** A server over a folder that kills itself after the first task of this kind. */
export async function useDoomed(
  folder: string,
  task: "importContribution" | "importPtau",
): Promise<{ readonly client: CeremonyClient; readonly gone: Promise<unknown> }> {
  const child = spawn(process.execPath, ["--no-warnings", SERVER, folder, task], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const gone = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { client: useClient((await lines.next()).value ?? ""), gone };
}

function useClient(address: string): CeremonyClient {
  const channel = new Channel({ address, timeoutMs: 120_000 });
  onTestFinished(() => channel[Symbol.dispose]());
  return createClient(CircuitService, channel);
}

/** Imports powers of tau; absent: the small ones, under the name POWERS_OF_TAU. */
export async function importPtau(
  { client, ptau }: Pick<TestCeremonies, "client" | "ptau">,
  given: { readonly path?: string; readonly id?: string; readonly sha256?: string } = {},
) {
  const path = given.path ?? ptau;
  const sha256 = given.sha256 ?? (await fileDigest(path));
  const digest = { case: "sha256" as const, value: sha256 };
  const start = { parent: PARENT, powersOfTauId: given.id ?? "small", digest };
  return await client.importPowersOfTau(messages(start, readFileSync(path)));
}

export interface TestCircuit extends TestFiles {
  readonly name: string;
}

/** A circuit that waits for contributions, from the small powers of tau, which must be there. */
export async function useAwaiting(
  rig: TestCeremonies,
  given: { readonly id?: string; readonly seed?: number } = {},
): Promise<TestCircuit> {
  const { circuits, files, prover, ptau } = rig;
  const id = given.id ?? "c";
  const modelVersion = `${PARENT}/models/m/versions/1`;
  const name = `${modelVersion}/circuits/${id}`;
  const made = writeCircuit(rig.folder, id, denseGraph([2, 2, 2], { seed: given.seed ?? 1 }));
  const record = await prover.newPhase2({ ...made, ptau });
  const constraints = await files.store(made.r1cs);
  const options = create(CircuitOptionsSchema, {
    setup: CircuitOptions_Setup.CEREMONY,
    powersOfTau: POWERS_OF_TAU,
  });
  const stored = await circuits.jobs.create({
    name,
    uid: randomUUID(),
    workspace: "w",
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
      constraints,
      constraintsBytes: readFileSync(made.r1cs).length,
      model: "2".repeat(64),
      // Ceremonies do not look at what the public values mean.
      schema: {} as NonNullable<Circuit["compiled"]>["schema"],
      schemaHash: "3".repeat(64),
      calibration: {},
      report: {},
    },
    key: {
      zkey: await files.store(made.zkey),
      record,
      contributionTimes: [],
      setupMs: 1,
      verified: false,
    },
  });
  const done = { ...withoutStamps<Circuit>(stored), state: "SUCCEEDED" } as const;
  await circuits.jobs.collection.replaceOne(done, { ifVersion: stored.version });
  return { ...made, name };
}

/** The current key as a party exports it. */
export async function exportKey(
  { circuits, files, folder }: TestCeremonies,
  name: string,
): Promise<{ readonly path: string; readonly etag: string; readonly circuit: Stored<Circuit> }> {
  const circuit = await circuits.get(name);
  const { zkey } = await files.proving(circuit);
  const path = join(folder, `${randomUUID()}.zkey`);
  copyFileSync(zkey, path);
  return { path, etag: circuitEtag(circuit), circuit };
}

/** Uploads a contributed key. */
export async function upload(
  { client }: Pick<TestCeremonies, "client">,
  given: { readonly name: string; readonly etag?: string; readonly path: string },
) {
  const start = { name: given.name, etag: given.etag ?? "" };
  return await client.uploadContribution(messages(start, readFileSync(given.path)));
}

/** The messages of an upload: what it is, then the bytes in pieces. */
export async function* messages<Start>(start: Start, bytes: Uint8Array, pieceBytes = 64 * 1024) {
  yield { payload: { case: "start" as const, value: start } };
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const value = bytes.subarray(at, at + pieceBytes);
    yield { payload: { case: "chunk" as const, value } };
  }
}

/** Imported powers of tau, and a circuit that waits for contributions. */
export async function useOpen(
  options: CeremonyOptions = {},
): Promise<{ readonly rig: TestCeremonies; readonly circuit: TestCircuit }> {
  const rig = await useCeremonies(options);
  await importPtau(rig);
  return { rig, circuit: await useAwaiting(rig) };
}

/** A party's contribution to a key, with snarkjs. */
export async function contributed(from: string, name = "a party"): Promise<string> {
  const to = `${from}.${randomUUID()}`;
  await runSnarkjs("zKey.contribute", from, to, name, "not secret: for tests");
  return to;
}

/** One whole contribution. */
export async function contribute(rig: TestCeremonies, name: string, party?: string) {
  const { path, etag } = await exportKey(rig, name);
  return await upload(rig, { name, etag, path: await contributed(path, party) });
}

/** A circuit whose key one party made. */
export async function developmentCircuit(rig: TestCeremonies): Promise<string> {
  const { name, r1cs, zkey } = await useAwaiting(rig, { id: "development" });
  const record = await rig.prover.devSetup({ r1cs, zkey });
  const { key, version } = await rig.circuits.get(name);
  const made = { ...key, record, zkey: await rig.files.store(zkey) } as KeyDocument;
  await rig.circuits.setKey(name, { ifVersion: version, key: made });
  return name;
}

/** The error of this type, as it must come. */
export function refusal(type: string): object {
  return { kind: "FailedPrecondition", violations: [{ type }] };
}
