import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { anonymous } from "../../common/auth/principal.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { timestampOf } from "../columns.ts";
import { latestRows, openTestEngine } from "../offline/testing.ts";
import { shapeOf } from "../offline/view-history.ts";
import { entityKey } from "../online/entity-key.ts";
import { pushBatch } from "./push-batch.ts";
import { airportView, openPushParts, pushRequest } from "./testing.ts";

const WRITER = fileURLToPath(new URL("./push-writer.ts", import.meta.url));
const HISTORY = { uid: "uid-airports", workspace: "default", view: "airports" };

/** Lets a writer run, kills it and its engine in the middle; the batches it acknowledged. */
async function runAndKill(folder: string, first: number, afterMs: number): Promise<number[]> {
  const args = ["--no-warnings", WRITER, folder, String(first)];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const acknowledged: number[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => acknowledged.push(Number(line)));
  await once(lines, "line");
  await sleep(afterMs);
  const closed = once(lines, "close");
  process.kill(-child.pid!, "SIGKILL");
  await closed;
  return acknowledged;
}

describe("pushes of a process that is killed", () => {
  it("are all there once when they were acknowledged, and none is there in part", {
    timeout: 120_000,
  }, async () => {
    const folder = useFolder();
    const acknowledged = new Set<number>();
    let first = 0;
    for (const afterMs of [50, 250, 400, 700, 1_100]) {
      const batches = await runAndKill(folder, first, afterMs);
      for (const batch of batches) acknowledged.add(batch);
      first = Math.max(first, ...batches) + 10;
    }
    await using parts = await openPushParts(folder);
    await using engine = openTestEngine(`${folder}/reader`);
    const read = async () => {
      const snapshot = await parts.offline.read(HISTORY);
      const chunks = await latestRows(engine, snapshot, shapeOf(airportView()));
      const keys = chunks.flatMap((chunk) => chunk.keys.airport as string[]);
      const flights = chunks.flatMap((chunk) => chunk.features.flights as number[]);
      expect(keys.length).toBe(snapshot.rows);
      return new Map(keys.map((key, index) => [key, flights[index]]));
    };
    const rows = await read();
    for (const batch of acknowledged) {
      for (let row = 0; row <= batch % 20; row++) {
        const airport = `${batch}-${row}`;
        expect(rows.get(airport)).toBe(batch * 100 + row);
        const id = entityKey("default", [{ joinKey: "airport", type: "STRING", cell: airport }]);
        const [document] = await parts.online.read([id]);
        expect(document?.views["uid-airports"]?.v[1]).toBe(batch * 100 + row);
      }
    }
    const byBatch = Map.groupBy(rows.keys(), (key) => Number(key.split("-")[0]));
    for (const [batch, keys] of byBatch) {
      expect(keys, `batch ${batch}`).toHaveLength((batch % 20) + 1);
    }
    expect(acknowledged.size).toBeGreaterThan(100);

    // The client does not know what became of the last batches: it sends all of them again.
    for (const batch of byBatch.keys()) {
      const numbers = Array.from({ length: 1 + (batch % 20) }, (_, row) => row);
      const request = pushRequest({
        batchId: `batch-${batch}`,
        columns: [
          { name: "airport", strings: numbers.map((row) => `${batch}-${row}`) },
          {
            name: "event_timestamp",
            timestamps: numbers.map((row) => timestampOf(batch * 3.6e9 + row)),
          },
          { name: "flights", ints: numbers.map((row) => BigInt(batch * 100 + row)) },
        ],
      });
      await pushBatch(parts, request, anonymous);
    }
    expect(await read()).toEqual(rows);
  });
});
