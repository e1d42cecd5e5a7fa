import { describe, expect, it, onTestFinished } from "vitest";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { parseSettings } from "../../common/config.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { featuresSettings } from "../config.ts";
import { planFeatureService } from "../definitions/resolve.ts";
import { defined, FLIGHTS } from "../definitions/testing.ts";
import { readsHistory } from "../offline/history.ts";
import { silent, useOfflineStore } from "../offline/testing.ts";
import type { Cell } from "../value.ts";
import { ReadLog, type ReadLogOptions, readsShape } from "./read-log.ts";
import type { OnlineRead } from "./read-online.ts";

const NAME = "workspaces/w/featureServices/flight_delay/versions/1";

const sampled = {
  ...planFeatureService(defined(FLIGHTS), { workspace: "w", name: "flight_delay" }),
  loggingSampleRate: 0.5,
};

/** A call of `rows` flights. */
function call(rows: number, nowUs: number, plan = sampled) {
  const cells = (make: (row: number) => Cell) =>
    Array.from({ length: rows }, (_, row) => make(row));
  const columns = plan.requestColumns.map(({ name, type }) => {
    return cells((row) => (type === "STRING" ? `${name}${row}` : row));
  });
  const read: OnlineRead = {
    plan,
    rows,
    nowUs,
    outputs: plan.outputs.map((_, output) => ({
      cells: cells((row) => (output === 0 ? null : row)),
      statuses: new Uint8Array(rows).fill(
        output === 0 ? FieldStatus.NOT_FOUND : FieldStatus.PRESENT,
      ),
    })),
    eventUs: [],
  };
  return { read, columns };
}

function open(
  options: Partial<ReadLogOptions> & Pick<ReadLogOptions, "offline">,
  rowsMax = 20_000,
) {
  const dropped: number[] = [];
  const events = { ...silent, readsDropped: (rows: number) => void dropped.push(rows) };
  const config = { ...parseSettings({}, featuresSettings), readLogRowsMax: rowsMax };
  const log = new ReadLog({ config, events, random: () => 0.4, ...options });
  onTestFinished(async () => {
    await log[Symbol.asyncDispose]();
  });
  return { log, dropped };
}

describe("ReadLog", () => {
  it("writes kept calls as a history of the feature service's version", async () => {
    const { offline } = await useOfflineStore();
    const { log } = open({ offline });
    for (const at of [5_000_000, 6_000_000]) {
      const { read, columns } = call(2, at);
      log.offer(read, columns);
    }
    expect(log.rows).toBe(4);
    await log[Symbol.asyncDispose]();
    expect(log.rows).toBe(0);
    const snapshot = await offline.read(readsHistory("w", NAME));
    expect(snapshot.rows).toBe(4);
    expect(snapshot.files[0]).toMatchObject({ minEventUs: 5_000_000, maxEventUs: 6_000_000 });
    expect(readsShape(sampled).joinKeys).toEqual([
      { name: "destination", type: "STRING" },
      { name: "origin", type: "STRING" },
    ]);
    const names = snapshot.files[0]!.columns.map(({ name }) => name);
    expect(names).toContain("distance");
    expect(names).toContain("origin_delay__status");
  });

  it("lays rows out by column, the statuses as text", async () => {
    const appended: unknown[][] = [];
    const offline = {
      append: async (...given: unknown[]) => {
        appended.push(given);
        return { replayed: false };
      },
    };
    const { log } = open({ offline });
    const { read, columns } = call(1, 7);
    log.offer(read, columns);
    await log.flush();
    expect(appended[0]?.[2]).toMatchObject({
      rows: 1,
      keys: { origin: ["origin0"], destination: ["destination0"] },
      features: {
        distance: [0],
        origin_delay: [null],
        origin_delay__status: ["NOT_FOUND"],
        hours: [0],
        hours__status: ["PRESENT"],
      },
      eventUs: [7],
      createdUs: [7],
    });
  });

  it("keeps the share that the service asks for, of services only", async () => {
    const { offline } = await useOfflineStore();
    const draws = [0.5, 0.49, 0.99, 0];
    const { log } = open({ offline, random: () => draws.shift() ?? 1 });
    for (let calls = 0; calls < 4; calls++) {
      const { read, columns } = call(1, calls);
      log.offer(read, columns);
    }
    expect(log.rows).toBe(2);
    for (const plan of [
      { ...sampled, loggingSampleRate: 0 },
      { ...sampled, featureService: undefined },
      { ...sampled, keyColumns: 0 },
    ]) {
      const { read, columns } = call(1, 9, plan);
      draws.push(0);
      log.offer(read, columns);
    }
    expect(log.rows).toBe(2);
  });

  it("drops and counts what there is no room for", async () => {
    const { offline } = await useOfflineStore();
    const { log, dropped } = open({ offline }, 100);
    const { read, columns } = call(60, 1);
    log.offer(read, columns);
    log.offer(read, columns);
    expect([log.rows, dropped]).toEqual([60, [60]]);
    await log.flush();
    log.offer(read, columns);
    expect([log.rows, dropped]).toEqual([60, [60]]);
  });

  it("tries again under the same id, a few times", async () => {
    const ids: (string | undefined)[] = [];
    let isDown = true;
    const offline: ReadLogOptions["offline"] = {
      append: async (_history, _shape, _batch, options) => {
        ids.push(options?.batchId);
        if (isDown) throw new Unavailable("away", { reason: 19, retryAfterMs: 1 });
        return { replayed: false };
      },
    };
    const { log, dropped } = open({ offline });
    const { read, columns } = call(3, 1);
    log.offer(read, columns);
    await log.flush();
    expect(log.rows).toBe(3);
    isDown = false;
    await log.flush();
    expect([log.rows, ids.length, new Set(ids).size, dropped]).toEqual([0, 2, 1, []]);
    isDown = true;
    log.offer(read, columns);
    for (let tries = 0; tries < 5; tries++) await log.flush();
    expect([log.rows, dropped]).toEqual([0, [3]]);
  });

  it("writes large samples in several batches", async () => {
    const rows: number[] = [];
    const offline: ReadLogOptions["offline"] = {
      append: async (_history, _shape, batch) => {
        rows.push(batch.rows);
        return { replayed: false };
      },
    };
    const { log } = open({ offline });
    const { read, columns } = call(1_000, 1);
    for (let calls = 0; calls < 15; calls++) log.offer(read, columns);
    await log.flush();
    expect(rows).toEqual([10_000, 5_000]);
  });
});
