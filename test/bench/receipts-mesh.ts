// A mesh whose services are processes of their own, as one that logs receipts under load would be: a
// registry, a proofs service, and an inference server that serves each model twice, once with a
// receipt for each inference and once with none.

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import type { Target } from "./contenders.ts";
import { type BenchModel, LARGE, SMALL } from "./models.ts";
import { busySeconds, deploy, PARENT, startService } from "./service-mesh.ts";

/** How long receipts that were answered may take into the log. */
const LOGGED_WITHIN_MS = 60_000;

export interface ReceiptsMesh extends Target, AsyncDisposable {
  /** Receipts in the log. */
  logged(): Promise<number>;
  /** Resolves when the log has stopped growing. */
  settled(): Promise<number>;
  /** Processor time that the log's process has used, in seconds. */
  logSeconds(): Promise<number>;
}

/** Deployments of one version: `receipted` gives a receipt for each inference, the other none. */
export interface ReceiptsPair {
  readonly receipted: BenchModel;
  readonly plain: BenchModel;
}

export const SMALL_PAIR = pairOf(SMALL);
export const LARGE_PAIR = pairOf(LARGE);

/** Starts the processes and deploys the model. */
export async function startReceiptsMesh(
  models: ReadonlyMap<string, string>,
): Promise<ReceiptsMesh> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "plinth-bench-receipts-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const secret = randomBytes(24).toString("hex");
  const start = async (service: string, args: readonly string[] = []) =>
    stack.use(await startService({ service, args, folder, secret }));
  const registry = await start("registry");
  const at = ["--registry", String(registry.said.address)];
  const proofs = await start("proofs", at);
  const proofsAddress = String(proofs.said.address);
  const inference = await start("inference", [...at, "--proofs", proofsAddress]);
  const toRegistry = stack.use(new Channel({ address: String(registry.said.address) }));
  for (const [model, pair] of [
    [SMALL, SMALL_PAIR],
    [LARGE, LARGE_PAIR],
  ] as const) {
    const path = models.get(model.name)!;
    await deploy(
      toRegistry,
      { model, path },
      {
        [pair.receipted.name]: { proofs: { receipts: true } },
        [pair.plain.name]: { proofs: { receipts: false } },
      },
    );
  }
  const toProofs = stack.use(new Channel({ address: proofsAddress }));
  const receipts = createClient(ReceiptService, toProofs);
  const logged = async () => Number((await receipts.getTreeHead({ parent: PARENT })).size);
  const owned = stack.move();
  return {
    pid: inference.pid,
    address: String(inference.said.address),
    checked: true,
    logged,
    settled: () => untilSettled(logged),
    logSeconds: () => busySeconds(proofs.pid),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function pairOf(model: BenchModel): ReceiptsPair {
  return {
    receipted: { ...model, name: `${model.name}-receipted` },
    plain: { ...model, name: `${model.name}-plain` },
  };
}

async function untilSettled(logged: () => Promise<number>): Promise<number> {
  const deadline = performance.now() + LOGGED_WITHIN_MS;
  let before = -1;
  let size = await logged();
  while (size !== before) {
    if (performance.now() > deadline) {
      throw new Error(`The log still grows after ${LOGGED_WITHIN_MS} ms; it has ${size} receipts.`);
    }
    await sleep(1_000);
    before = size;
    size = await logged();
  }
  return size;
}
