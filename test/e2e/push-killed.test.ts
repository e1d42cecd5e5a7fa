// The mesh dies in the middle of push streams. What a stream acknowledged is there after the restart,
// online and in history; streams sent again under the same batch ids are there once.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import type { StreamPushFeaturesRequestSchema } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, Job_State } from "../../gen/plinth/features/v1/job_pb.js";
import { FieldStatus, ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { type Clients, clientsOn, DEFAULT } from "./use-models.ts";

const VIEW = `${DEFAULT}/featureViews/readings`;
const BATCHES = 20;
const BATCH_ROWS = 25;
const STREAM_ROWS = BATCHES * BATCH_ROWS;
/** 2026-01-01 */
const SECOND = 1_767_225_600n;
/** Files are made, compacted and removed all the while. */
const BUSY = { PLINTH_FEATURES_FLUSH_INTERVAL: "100ms", PLINTH_FEATURES_COMPACT_FILES_MAX: "3" };

type Message = MessageInitShape<typeof StreamPushFeaturesRequestSchema>;

it("loses no acknowledged push stream to SIGKILL, and takes the others once", async () => {
  const dataDir = useFolder();
  const first = await useChildMesh({ dataDir, env: BUSY });
  await define(clientsOn(first.channel));
  const acknowledged = new Set<number>();
  let begun = 0;
  let isKilled = false;
  const clients = clientsOn(first.channel);
  const sender = async () => {
    while (!isKilled) {
      const number = begun++;
      const answer = await clients.features.streamPushFeatures(batchesOf(number)).catch(() => null);
      if (answer !== null) {
        expect(answer.rowsWritten).toBe(BigInt(STREAM_ROWS));
        acknowledged.add(number);
      }
    }
  };
  const senders = [sender(), sender(), sender()];
  await expect.poll(() => acknowledged.size, { timeout: 20_000 }).toBeGreaterThan(12);
  await first.kill();
  isKilled = true;
  await Promise.all(senders);
  expect(acknowledged.size, "some streams were cut off").toBeLessThan(begun);

  const second = await useChildMesh({ dataDir, env: BUSY });
  const after = clientsOn(second.channel);
  for (const number of acknowledged) {
    expect(await statusesOf(after, number)).toEqual(new Set([FieldStatus.PRESENT]));
  }
  expect(await rowsInFiles(after)).toBeGreaterThanOrEqual(acknowledged.size * STREAM_ROWS);
  for (let number = 0; number < begun; number++) {
    await after.features.streamPushFeatures(batchesOf(number));
    expect(await statusesOf(after, number)).toEqual(new Set([FieldStatus.PRESENT]));
  }
  expect(await rowsInFiles(after)).toBe(begun * STREAM_ROWS);
}, 90_000);

async function define({ definitions }: Clients): Promise<void> {
  await definitions.applyDefinitions({
    parent: DEFAULT,
    entities: [{ name: "sensor", joinKeys: [{ name: "sensor", valueType: ValueType.STRING }] }],
    featureViews: [
      {
        name: "readings",
        entities: ["sensor"],
        features: [{ name: "value", valueType: ValueType.INT64 }],
      },
    ],
  });
}

async function* batchesOf(number: number): AsyncGenerator<Message> {
  for (let batch = 0; batch < BATCHES; batch++) {
    const rows = Array.from({ length: BATCH_ROWS }, (_, row) => batch * BATCH_ROWS + row);
    yield {
      batch: {
        featureView: VIEW,
        batchId: `${number}-${batch}`,
        columns: [
          { name: "sensor", strings: rows.map((row) => keyOf(number, row)) },
          { name: "event_timestamp", timestamps: rows.map(() => ({ seconds: SECOND })) },
          { name: "value", ints: rows.map((row) => BigInt(number * STREAM_ROWS + row)) },
        ],
      },
    };
  }
}

function keyOf(number: number, row: number): string {
  return `${number}/${row}`;
}

/** What the online store has of a stream's rows; their values are checked. */
async function statusesOf({ features }: Clients, number: number): Promise<Set<FieldStatus>> {
  const rows = Array.from({ length: STREAM_ROWS }, (_, row) => row);
  const { results } = await features.getOnlineFeatures({
    parent: DEFAULT,
    features: ["readings:value"],
    entities: [{ name: "sensor", strings: rows.map((row) => keyOf(number, row)) }],
  });
  expect(results[0]!.values!.ints).toEqual(rows.map((row) => BigInt(number * STREAM_ROWS + row)));
  return new Set(results[0]!.statuses);
}

/** Rows of the view's files, once the log is in them and every day is one file. */
async function rowsInFiles({ jobs }: Clients): Promise<number> {
  const { name } = await jobs.compactFeatureView({
    parent: DEFAULT,
    compaction: { featureView: VIEW },
  });
  let last: Job | undefined;
  for await (const { job } of jobs.watchJob({ name })) {
    last = job;
  }
  expect(last?.state).toBe(Job_State.SUCCEEDED);
  return Number(last?.work.case === "compaction" ? last.work.value.result?.rowsAfter : Number.NaN);
}
