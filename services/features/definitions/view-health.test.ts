import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { describe, expect, it, onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  ApplyDefinitionsRequestSchema,
  DeleteFeatureViewRequestSchema,
  GetFeatureViewStatusRequestSchema,
  ReportFeatureViewHealthRequestSchema,
} from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import type { FeatureViewHealthSchema } from "../../../gen/plinth/features/v1/feature_view_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { systemClock } from "../../common/clock.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { silent, useOfflineStore } from "../offline/testing.ts";
import { OnlineStore } from "../online/online-store.ts";
import { DefinitionStore } from "./definition-store.ts";
import { featureRegistryHandlers } from "./registry-handlers.ts";
import { AIRPORT, view } from "./testing.ts";
import { ViewHealthStore } from "./view-health.ts";

const parent = "workspaces/w";
const name = `${parent}/featureViews/delays`;
const DAY_MS = 86_400_000;

type Health = MessageInitShape<typeof FeatureViewHealthSchema>;

const STALE: Health = {
  deployment: `${parent}/deployments/flights`,
  modelVersion: `${parent}/models/m/versions/2`,
  windowEndTime: { seconds: 1_000_000_000n, nanos: 0 },
  rows: 200n,
  features: [
    { feature: "mean_delay", missingRate: 0.25, outsideMaxAgeRate: 0.125, drifted: true },
    { feature: "flights", missingRate: 0, outsideMaxAgeRate: 0 },
  ],
};

async function useView() {
  const clock = new FakeClock(Date.now());
  const { offline, documents } = await useOfflineStore();
  const definitions = await DefinitionStore.open(documents, systemClock);
  onTestFinished(async () => {
    await definitions[Symbol.asyncDispose]();
  });
  const online = await OnlineStore.open(documents);
  const viewHealth = await ViewHealthStore.open(documents, clock);
  const deps = { definitions, online, offline, events: silent, registry: undefined, viewHealth };
  const handlers = featureRegistryHandlers(deps);
  const context = (principal = anonymous) => ({
    path: "/test",
    signal: new AbortController().signal,
    deadlineMs: Date.now() + 60_000,
    principal,
    header: () => undefined,
    trace: ROOT_CONTEXT,
  });
  const define = () =>
    handlers.applyDefinitions(
      create(ApplyDefinitionsRequestSchema, { parent, ...AIRPORT, ...view() }),
      context(),
    );
  await define();
  return {
    clock,
    define,
    report: (health: Health, of = name, principal = anonymous) =>
      handlers.reportFeatureViewHealth(
        create(ReportFeatureViewHealthRequestSchema, { name: of, health }),
        context(principal),
      ),
    status: async () =>
      (
        await handlers.getFeatureViewStatus(
          create(GetFeatureViewStatusRequestSchema, { name }),
          context(),
        )
      ).health,
    remove: () =>
      handlers.deleteFeatureView(create(DeleteFeatureViewRequestSchema, { name }), context()),
  };
}

describe("what monitoring says of a view", () => {
  it("is on its status, one entry a deployment, the newest", async () => {
    const { report, status, clock } = await useView();
    expect(await status()).toEqual([]);
    await report({ ...STALE, rows: 1n });
    await report({ ...STALE, deployment: `${parent}/deployments/a` });
    await report(STALE);
    const health = await status();
    expect(health).toMatchObject([{ deployment: `${parent}/deployments/a` }, STALE]);
    expect(health?.[1]?.features?.[1]).not.toHaveProperty("drifted");
    expect(health?.[1]?.reportTime?.seconds).toBe(BigInt(Math.floor(clock.now() / 1000)));
  });

  it("is left out once it is old, and of a view that was made anew", async () => {
    const { report, status, clock, remove, define } = await useView();
    await report(STALE);
    clock.advance(31 * DAY_MS);
    expect(await status()).toEqual([]);
    await report(STALE);
    expect(await status()).toHaveLength(1);
    await remove();
    await define();
    expect(await status()).toEqual([]);
  });

  it("is refused where it is not right", async () => {
    const { report, status } = await useView();
    await expect(
      report({ ...STALE, rows: -1n, features: [{ feature: "x", missingRate: Number.NaN }] }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "health.rows" }, { field: "health.features[0].missing_rate" }],
    });
    await expect(
      report({ ...STALE, deployment: "workspaces/other/deployments/d" }),
    ).rejects.toMatchObject({ kind: "InvalidArgument" });
    await expect(report(STALE, `${parent}/featureViews/delay`)).rejects.toMatchObject({
      kind: "NotFound",
      message: expect.stringContaining("delays"),
    });
    const stranger = { id: "k", workspace: "other", roles: [Role.SERVICE] };
    await expect(report(STALE, name, stranger)).rejects.toMatchObject({
      kind: "PermissionDenied",
    });
    expect(await status()).toEqual([]);
  });
});
