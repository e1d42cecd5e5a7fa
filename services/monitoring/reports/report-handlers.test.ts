import { describe, expect, it } from "vitest";
import { Baseline_State } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import { targetId } from "../target.ts";
import { CLOSED_MS, rows, seed, useHandlers, V1, V2 } from "./testing-handlers.ts";
import { DEPLOYMENT, HOUR_US, START_US, versionOf } from "./testing-stores.ts";
import { timestampOf } from "./time-range.ts";

describe("ListWindows", () => {
  it("has the newest first, by page, each once", async () => {
    const { list, ...stores } = await useHandlers({
      predictions: { labelCounts: async (_id, ranges) => ranges.map((_, i) => i + 1) },
    });
    await seed(stores);
    await stores.baseline(V2, rows(1, 2000));
    await stores.count({ version: V2, columns: rows(9, 50), eventUs: START_US, shadow: true });
    const all = await list({});
    const shown = all.windows?.map(({ modelVersion, rows, closed }) => [
      modelVersion,
      rows,
      closed,
    ]);
    expect(shown).toEqual([
      [V1.modelVersion, 600n, false],
      [V1.modelVersion, 800n, true],
      [V1.modelVersion, 1000n, true],
      [V2.modelVersion, 50n, false],
    ]);
    expect(all.windows?.map(({ labels }) => labels)).toEqual([1n, 2n, 3n, 1n]);
    expect(all.windows?.[1]).toMatchObject({ inferences: 1n, meanQueueMs: 2, meanComputeMs: 5 });
    expect(all.windows?.[1]).not.toHaveProperty("features");
    const paged: unknown[] = [];
    let pageToken = "";
    do {
      const page = await list({ pageSize: 1, pageToken });
      paged.push(...(page.windows?.map((w) => [w.modelVersion, w.rows, w.closed]) ?? []));
      pageToken = page.nextPageToken ?? "";
    } while (pageToken !== "");
    expect(paged).toEqual(shown);
    const one = await list({ modelVersion: "2" });
    expect(one.windows).toMatchObject([{ shadow: true, rows: 50n }]);
    const range = {
      startTime: timestampOf(START_US + HOUR_US),
      endTime: timestampOf(START_US + 2 * HOUR_US),
    };
    expect((await list({ range })).windows).toMatchObject([{ rows: 800n }]);
    await expect(list({ pageSize: 1, pageToken: "x" })).rejects.toThrow(/page_token/);
    await expect(list({ modelVersion: "9" })).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("has the verdict of a closed window", async () => {
    const { list, windows, ...stores } = await useHandlers();
    await seed({ ...stores, windows });
    const [first] = await windows.unjudged(1);
    const share = {
      columns: 2,
      measured: 2,
      drifted: 1,
      share: 0.5,
      threshold: 0.5,
      isDrifted: true,
    };
    await windows.setVerdict(first!._id, {
      baseline: true,
      features: share,
      predictions: { ...share, isDrifted: false },
      driftedColumns: ["x"],
    });
    expect((await list({})).windows?.at(-1)).toMatchObject({ features: share });
  });
});

describe("WatchMetrics", () => {
  it("has every version, then synced, then what changes", async () => {
    let active = 0;
    const { watch, closeAfter, ...stores } = await useHandlers({
      alerts: { active: async () => active },
    });
    await seed({ ...stores, closeAfter });
    const stream = watch(DEPLOYMENT);
    const next = async () => (await stream.next()).value?.event;
    expect(await next()).toMatchObject({
      case: "metrics",
      value: {
        modelVersion: V1.modelVersion,
        window: { rows: 600n, closed: false },
        baselineState: Baseline_State.READY,
        activeAlerts: 0,
      },
    });
    expect(await next()).toEqual({ case: "synced", value: {} });
    active = 2;
    expect(await next()).toMatchObject({ case: "metrics", value: { activeAlerts: 2 } });
    await stores.count({ version: V1, columns: rows(5, 10), eventUs: START_US + 2 * HOUR_US });
    const target = (await stores.windows.list(targetId(V1), {}))[0];
    expect(target?.rows).toBe(610);
    expect(await next()).toMatchObject({ value: { window: { rows: 610n } } });
    await closeAfter(CLOSED_MS);
    const closed = await next();
    expect(closed).toMatchObject({ value: { window: { rows: 610n, closed: true } } });
    expect(closed?.value).not.toHaveProperty("closedWindow");
    const [record] = (await stores.windows.unjudged(10)).filter(({ rows: n }) => n === 610);
    const none = {
      columns: 0,
      measured: 0,
      drifted: 0,
      share: 0,
      threshold: 0.5,
      isDrifted: false,
    };
    await stores.windows.setVerdict(record!._id, {
      baseline: true,
      features: none,
      predictions: none,
      driftedColumns: [],
    });
    expect(await next()).toMatchObject({ value: { closedWindow: { rows: 610n } } });
    await stream.return(undefined);
  });

  it("follows a workspace, shows a slow reader what is so, and ends with the server", async () => {
    const { watch, stopping, ...stores } = await useHandlers();
    await seed(stores);
    await stores.baseline(V2, rows(1, 2000));
    const other = versionOf(2, "e");
    await stores.count({ version: other, columns: rows(1, 5), eventUs: START_US });
    const stream = watch("workspaces/w");
    const first = await stream.next();
    // Nobody reads meanwhile: of the other version only what is so by then is shown.
    for (let i = 0; i < 3; i++) {
      await stores.count({ version: other, columns: rows(i, 5), eventUs: START_US });
      await stores.count({ version: V1, columns: rows(i, 5), eventUs: START_US + 2 * HOUR_US });
    }
    const second = await stream.next();
    expect((await stream.next()).value?.event?.case).toBe("synced");
    const rowsOf = [first, second].map(({ value }) =>
      value?.event?.case === "metrics" ? value.event.value.window?.rows : undefined,
    );
    expect([5n, 600n]).toContain(rowsOf[0]);
    expect([20n, 615n]).toContain(rowsOf[1]);
    const third = stream.next();
    expect((await third).value?.event?.case).toBe("metrics");
    const last = stream.next();
    stopping.abort();
    expect(await last).toEqual({ done: true, value: undefined });
    await expect(watch("workspaces").next()).rejects.toMatchObject({ kind: "InvalidArgument" });
  });

  it("looks at the stores once for all who watch", async () => {
    let looks = 0;
    const { watch, config, ...stores } = await useHandlers({
      config: { watchIntervalMs: 600_000 },
      alerts: {
        active: async () => {
          looks += 1;
          return 0;
        },
      },
    });
    await seed({ ...stores, config });
    const controller = new AbortController();
    const streams = Array.from({ length: 50 }, () => watch(DEPLOYMENT, controller.signal));
    for (const stream of streams) {
      expect((await stream.next()).value?.event?.case).toBe("metrics");
    }
    expect(looks).toBe(1);
    controller.abort();
    await Promise.all(streams.map((stream) => stream.return(undefined)));
  });

  it("bounds how many watch at once", async () => {
    const { watch } = await useHandlers();
    const controller = new AbortController();
    const streams = Array.from({ length: 200 }, () => watch(DEPLOYMENT, controller.signal));
    for (const stream of streams) {
      expect((await stream.next()).value?.event?.case).toBe("synced");
    }
    await expect(watch(DEPLOYMENT).next()).rejects.toMatchObject({ kind: "ResourceExhausted" });
    await streams[0]!.return(undefined);
    const again = watch(DEPLOYMENT, controller.signal);
    expect((await again.next()).value?.event?.case).toBe("synced");
    controller.abort();
    await Promise.all([...streams, again].map((stream) => stream.return(undefined)));
  });
});
