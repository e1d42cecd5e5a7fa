import { describe, expect, it, onTestFinished } from "vitest";
import { MonitoringService } from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { useStore } from "../../common/documents/testing.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService, type ServiceHandlers } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { useRegistry } from "../baselines/testing/use-registry.ts";
import { monitorHandlers } from "./monitor-handlers.ts";
import { MonitorStore } from "./monitor-store.ts";

const DEPLOYMENT = "workspaces/default/deployments/flights";
const NAME = `${DEPLOYMENT}/monitor`;

async function useMonitors(principal: Principal = anonymous) {
  const registry = await useRegistry();
  registry.deployments.add(DEPLOYMENT);
  const monitors = await MonitorStore.open(await useStore(), new FakeClock());
  const handlers = monitorHandlers({ monitors, registry: registry.channel });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => principal,
    bindings: [
      bindService(MonitoringService, handlers as ServiceHandlers<typeof MonitoringService>),
    ],
  });
  const channel = new Channel({ address: server.address, timeoutMs: 20_000 });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await monitors[Symbol.asyncDispose]();
  });
  return { registry, client: createClient(MonitoringService, channel) };
}

describe("GetMonitor", () => {
  it("gives the defaults of a deployment that nobody has set", async () => {
    const { client } = await useMonitors();
    const monitor = await client.getMonitor({ name: NAME });
    expect(monitor).toMatchObject({
      name: NAME,
      etag: "",
      window: { seconds: 3600n },
      allowedLateness: { seconds: 300n },
      baselineLearning: { rows: 5000n, disabled: false },
      drift: { datasetShare: 0.5, columns: [] },
      task: { scoreThreshold: 0.5 },
      retention: { windows: { seconds: 3_024_000n }, days: { seconds: 34_560_000n } },
    });
    expect(monitor.createTime).toBeUndefined();
  });

  it("refuses deployments that there are not, and names that are none", async () => {
    const { client } = await useMonitors();
    const gone = client.getMonitor({ name: "workspaces/default/deployments/x/monitor" });
    await expect(gone).rejects.toMatchObject({ kind: "NotFound" });
    await expect(client.getMonitor({ name: DEPLOYMENT })).rejects.toMatchObject({
      violations: [{ field: "name" }],
    });
  });

  it("works while the registry is away, for what was set", async () => {
    const { client, registry } = await useMonitors();
    await client.updateMonitor({ monitor: { name: NAME, window: { seconds: 60n, nanos: 0 } } });
    await registry.stop();
    expect((await client.getMonitor({ name: NAME })).window?.seconds).toBe(60n);
    const other = client.getMonitor({ name: "workspaces/default/deployments/x/monitor" });
    await expect(other).rejects.toMatchObject({ kind: "Unavailable" });
    const update = client.updateMonitor({ monitor: { name: NAME } });
    await expect(update).rejects.toMatchObject({ kind: "Unavailable" });
  });
});

describe("UpdateMonitor", () => {
  it("changes what the mask names, under the etag", async () => {
    const { client } = await useMonitors();
    const first = await client.updateMonitor({
      monitor: { name: NAME, window: { seconds: 60n }, baselineLearning: { rows: 100n } },
    });
    expect(first.createTime).toEqual(first.updateTime);
    const second = await client.updateMonitor({
      monitor: { name: NAME, etag: first.etag, window: { seconds: 30n } },
      updateMask: { paths: ["window"] },
    });
    expect(second).toMatchObject({ window: { seconds: 30n }, baselineLearning: { rows: 100n } });
    expect(await client.getMonitor({ name: NAME })).toEqual(second);
    const stale = client.updateMonitor({ monitor: { name: NAME, etag: first.etag } });
    await expect(stale).rejects.toMatchObject({ kind: "Aborted" });
    const unknown = { monitor: { name: NAME }, updateMask: { paths: ["name"] } };
    await expect(client.updateMonitor(unknown)).rejects.toMatchObject({
      violations: [{ field: "update_mask.paths" }],
    });
    await expect(client.updateMonitor({})).rejects.toMatchObject({
      violations: [{ field: "monitor.name" }],
    });
  });

  it("is not for keys of other workspaces", async () => {
    const { client } = await useMonitors({ ...anonymous, workspace: "other" });
    const denied = { kind: "PermissionDenied" };
    await expect(client.getMonitor({ name: NAME })).rejects.toMatchObject(denied);
    await expect(client.updateMonitor({ monitor: { name: NAME } })).rejects.toMatchObject(denied);
  });
});
