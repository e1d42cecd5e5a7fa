// The service that logs receipts dies in the middle of their streams, three times. What an inference
// server has copied is sent until it is logged, and every receipt is in the log once.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import { createLogger } from "../../services/common/telemetry/log.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { receiptClient } from "../../services/inference/receipts/receipt-client.ts";
import { Receipts } from "../../services/inference/receipts/receipts.ts";
import type { Signature } from "../../services/inference/tensor.ts";
import { requestOf, tensorOf } from "../../services/inference/testing/test-servable.ts";
import { checkReceipt } from "../../services/proofs/receipts/check-receipt.ts";
import { fromBase64 } from "../../services/proofs/receipts/checkpoint.ts";
import { parseProofText } from "../../services/proofs/receipts/proof-text.ts";

const PROGRAM = "services/proofs/receipts/testing/receipts-main.ts";
const parent = "workspaces/acme";
const LIVES = 4;
/** Inferences answered while the service lives, and while it is dead. */
const EACH = 3_000;
/** What the service says is on its way for so long: it is killed when much of it is. */
const DELAY_MS = 150;

const signature: Signature = {
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 3] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1] }],
};
const INPUT = tensorOf("x", "FP32", [1, 3], [1, 2, 3]);
const RESULT = {
  outputs: [tensorOf("y", "FP32", [1], [6])],
  queueMs: 0,
  computeMs: 0,
  batchRows: 1,
};

it("logs every receipt once, whatever SIGKILL cuts off and is sent again", async () => {
  const folder = useFolder();
  const port = await freePort();
  const channel = new Channel({ address: `127.0.0.1:${await useSlowWay(port)}` });
  const receipts = new Receipts({
    send: receiptClient(channel),
    config: { queueBytesMax: 2 ** 26, intervalMs: 5, drainMs: 20_000 },
    random: Math.random,
    log: createLogger({ service: "test", level: "off" }),
  });
  onTestFinished(async () => {
    await receipts[Symbol.asyncDispose]();
    channel[Symbol.dispose]();
  });
  receipts.start();
  const versions = ["a", "b"].map((deployment) =>
    receipts.version({
      deployment: `${parent}/deployments/${deployment}`,
      modelVersion: `${parent}/models/m/versions/1`,
      modelDigest: "ab".repeat(32),
      signature,
    }),
  );
  const answered: string[] = [];
  const answer = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const id = `inference-${answered.length}`;
      const servable = { signature, batched: true } as never;
      versions[i % 2]!.record(requestOf(servable, [INPUT], { id }), RESULT, Date.now() * 1_000);
      answered.push(id);
      if (i % 50 === 0) await sleep(1);
    }
  };
  for (let life = 0; life < LIVES; life++) {
    const kill = await startLog(folder, port);
    const answering = answer(EACH);
    await sleep(4 * DELAY_MS);
    await kill();
    await answering;
  }
  await startLog(folder, port);
  await receipts.drain();
  expect(receipts.waitingBytes).toBe(0);
  const client = createClient(ReceiptService, channel);
  const logged: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listReceipts({ parent, pageSize: 1_000, pageToken });
    logged.push(...page.receipts.map(({ inferenceId }) => inferenceId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(logged).toHaveLength(answered.length);
  expect(new Set(logged)).toEqual(new Set(answered));
  const { origin, verifierKeys } = await client.getTreeHead({ parent });
  // After the name: a plus, 8 digits, a plus.
  const publicKeys = verifierKeys.map((key) =>
    fromBase64(key.slice(origin.length + 10))!.subarray(1),
  );
  for (let i = 0; i < answered.length; i += 997) {
    const { receipts: found } = await client.getReceipts({ parent, inferenceId: answered[i]! });
    expect(found).toHaveLength(1);
    const evidence = parseProofText(found[0]!.evidence);
    expect(checkReceipt(evidence, { origin, publicKeys })).toMatchObject({ valid: true });
  }
}, 120_000);

/** Starts the service; gives the function that kills it. */
async function startLog(folder: string, port: number): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [PROGRAM, folder, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = async () => {
    const isOver = child.exitCode !== null || child.signalCode !== null;
    child.kill("SIGKILL");
    if (!isOver) await once(child, "exit");
  };
  onTestFinished(kill);
  await once(createInterface({ input: child.stdout! }), "line");
  return kill;
}

/** A way to the port on which answers take their time, and are lost with the connection. */
async function useSlowWay(port: number): Promise<number> {
  const way: Server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on("error", end).on("close", end);
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => setTimeout(() => near.destroyed || near.write(data), DELAY_MS));
  });
  way.listen(0, "127.0.0.1");
  await once(way, "listening");
  onTestFinished(() => {
    way.close();
  });
  return (way.address() as { port: number }).port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
