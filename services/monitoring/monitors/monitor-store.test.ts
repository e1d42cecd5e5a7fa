import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { DocumentStore } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { DEFAULT_SETTINGS, type MonitorSettings } from "./monitor-settings.ts";
import { MonitorStore } from "./monitor-store.ts";

const DEPLOYMENT = "workspaces/w/deployments/d";
const TARGET = { deployment: DEPLOYMENT, name: `${DEPLOYMENT}/monitor`, etag: "" };

async function useMonitors(documents: DocumentStore): Promise<MonitorStore> {
  const monitors = await MonitorStore.open(documents, new FakeClock());
  onTestFinished(() => monitors[Symbol.asyncDispose]());
  return monitors;
}

const withWindow =
  (windowUs: number) =>
  (current: MonitorSettings): MonitorSettings => ({ ...current, windowUs });

describe("MonitorStore", () => {
  it("has the defaults until something is set, and then that at once", async () => {
    const monitors = await useMonitors(await useStore());
    expect(await monitors.get(DEPLOYMENT)).toBe(DEFAULT_SETTINGS);
    await monitors.update(TARGET, withWindow(1e6));
    expect((await monitors.get(DEPLOYMENT)).windowUs).toBe(1e6);
    expect(await monitors.get(DEPLOYMENT)).toBe(await monitors.get(DEPLOYMENT));
    expect(await monitors.get(`${DEPLOYMENT}2`)).toBe(DEFAULT_SETTINGS);
  });

  it("hears of changes by other processes", async () => {
    const documents = await useStore();
    const [one, other] = [await useMonitors(documents), await useMonitors(documents)];
    await other.get(DEPLOYMENT);
    for (const windowUs of [1e6, 2e6]) {
      await one.update(TARGET, withWindow(windowUs));
      await vi.waitFor(async () => {
        expect((await other.get(DEPLOYMENT)).windowUs).toBe(windowUs);
      }, 10_000);
    }
  });

  it("loses no change of many at once", async () => {
    const documents = await useStore();
    const stores = [await useMonitors(documents), await useMonitors(documents)];
    const add = (current: MonitorSettings) => ({ ...current, windowUs: current.windowUs + 1 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => stores[i % 2]!.update(TARGET, add)));
    const record = await stores[0]!.record(DEPLOYMENT);
    expect(record?.settings.windowUs).toBe(DEFAULT_SETTINGS.windowUs + 20);
  });

  it("refuses an etag that is not current, also where nothing is set", async () => {
    const monitors = await useMonitors(await useStore());
    const guarded = monitors.update({ ...TARGET, etag: '"x"' }, withWindow(1e6));
    await expect(guarded).rejects.toMatchObject({ kind: "Aborted" });
    expect(await monitors.record(DEPLOYMENT)).toBeUndefined();
  });
});
