// Monitoring dies in the middle of capture streams, twice. What a stream acknowledged is counted after
// the restart, and everything sent again, acknowledged or not, is counted once.

import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import {
  type CaptureInferencesRequestSchema,
  CaptureService,
} from "../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { serviceAuthorization } from "../../services/common/auth/authenticator.ts";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { type ChildMesh, useChildMesh } from "./use-child-mesh.ts";
import { clientsOn, DEFAULT } from "./use-models.ts";

const SECRET = "known-to-the-services-of-this-test";
const ENV = { PLINTH_MESH_SECRET: SECRET, PLINTH_MONITORING_COMMIT_INTERVAL: "20ms" };
const DEPLOYMENT = `${DEFAULT}/deployments/captured`;
const VERSION = `${DEFAULT}/models/m/versions/1`;
const BATCHES = 4;
const BATCH_ROWS = 100;
const STREAM_ROWS = BATCHES * BATCH_ROWS;
/** More than the baseline takes. */
const STREAMS_MIN = 20;

type Message = MessageInitShape<typeof CaptureInferencesRequestSchema>;

interface Sender {
  readonly id: string;
  begun: number;
  acknowledged: number;
}

it("counts every captured row once, whatever SIGKILL cuts off and is sent again", async () => {
  const dataDir = useFolder();
  const timeUs = BigInt(Date.now()) * 1000n;
  const senders: Sender[] = [0, 1, 2].map(() => ({ id: randomUUID(), begun: 0, acknowledged: 0 }));
  const acknowledged = () => senders.reduce((sum, sender) => sum + sender.acknowledged, 0);
  for (let life = 1; life <= 2; life++) {
    const mesh = await useChildMesh({ dataDir, env: ENV });
    const before = acknowledged();
    let isKilled = false;
    const sending = senders.map(async (sender) => {
      using channel = channelTo(mesh);
      const client = createClient(CaptureService, channel);
      while (!isKilled) {
        // What was cut off is sent again first, as an inference server does.
        const number = sender.acknowledged;
        sender.begun = Math.max(sender.begun, number + 1);
        const stream = streamOf(sender, { number, timeUs });
        const answer = await client.captureInferences(stream).catch(() => undefined);
        if (answer !== undefined) {
          expect(answer.refusals).toEqual([]);
          sender.acknowledged += 1;
        }
      }
    });
    await expect
      .poll(() => acknowledged() - before, { timeout: 30_000 })
      .toBeGreaterThan(STREAMS_MIN);
    await mesh.kill();
    isKilled = true;
    await Promise.all(sending);
  }
  const last = await useChildMesh({ dataDir, env: ENV });
  expect(await rowsCounted(last)).toBeGreaterThanOrEqual(acknowledged() * STREAM_ROWS);
  using channel = channelTo(last);
  const client = createClient(CaptureService, channel);
  for (const sender of senders) {
    for (let number = 0; number < sender.begun; number++) {
      await client.captureInferences(streamOf(sender, { number, timeUs }));
    }
  }
  const begun = senders.reduce((sum, sender) => sum + sender.begun, 0);
  expect(await rowsCounted(last)).toBe(begun * STREAM_ROWS);
}, 120_000);

function channelTo({ grpcAddress }: ChildMesh): Channel {
  const token = serviceAuthorization(SECRET).slice("Bearer ".length);
  return new Channel({ address: grpcAddress, token });
}

async function* streamOf(
  sender: Sender,
  { number, timeUs }: { readonly number: number; readonly timeUs: bigint },
): AsyncGenerator<Message> {
  // Nothing is said to be settled: everything may come again.
  yield { payload: { case: "start", value: { sender: sender.id, acknowledgedSequence: 0n } } };
  for (let batch = 0; batch < BATCHES; batch++) {
    const rows = Array.from({ length: BATCH_ROWS }, (_, row) => row);
    const values = Float32Array.from(rows, (row) => Math.sin(number * 100 + batch * 10 + row));
    yield {
      payload: {
        case: "batch",
        value: {
          sequence: BigInt(number * BATCHES + batch + 1),
          deployment: DEPLOYMENT,
          deploymentUid: "uid-d",
          modelVersion: VERSION,
          modelVersionUid: "uid-v",
          rows: BATCH_ROWS,
          inferences: {
            ids: rows.map((row) => `${sender.id}-${number}-${batch}-${row}`),
            rows: rows.map(() => 1),
            eventTimesUs: rows.map(() => timeUs),
            queueMs: rows.map(() => 0.5),
            computeMs: rows.map(() => 0.25),
          },
          inputs: [
            {
              name: "x",
              datatype: "FP32",
              rowShape: [1],
              columns: ["x"],
              contents: new Uint8Array(values.buffer),
            },
          ],
        },
      },
    };
  }
}

/** Rows of the baseline, which is made of the first ones, and of the windows. */
async function rowsCounted(mesh: ChildMesh): Promise<number> {
  const { monitoring } = clientsOn(mesh.channel);
  const { windows } = await monitoring.listWindows({ parent: DEPLOYMENT });
  const inWindows = windows.reduce((sum, { rows }) => sum + Number(rows), 0);
  const report = await monitoring.getDriftReport({
    deployment: DEPLOYMENT,
    range: { startTime: { seconds: 0n } },
  });
  expect(Number(report.rows)).toBe(inWindows);
  expect(report.columns[0]?.profile?.rows).toBe(BigInt(inWindows));
  return inWindows + Number(report.referenceRows);
}
