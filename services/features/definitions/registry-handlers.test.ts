import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  ApplyDefinitionsRequestSchema,
  DefinitionChange_Action,
  DeleteFeatureServiceRequestSchema,
  DeleteFeatureViewRequestSchema,
  GetFeatureServiceRequestSchema,
  GetFeatureViewRequestSchema,
  GetFeatureViewStatusRequestSchema,
  ListEntitiesRequestSchema,
} from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { systemClock } from "../../common/clock.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { History } from "../offline/history.ts";
import { silent, useOfflineStore } from "../offline/testing.ts";
import { entityKey } from "../online/entity-key.ts";
import { OnlineStore } from "../online/online-store.ts";
import { DefinitionStore } from "./definition-store.ts";
import { finishAllRemovals } from "./delete-definitions.ts";
import { featureRegistryHandlers } from "./registry-handlers.ts";
import { viewOf } from "./resolve.ts";
import { FLIGHTS, fields, type Request } from "./testing.ts";
import { ViewHealthStore } from "./view-health.ts";

const parent = "workspaces/w";
const DELAYS = `${parent}/featureViews/airport_delays`;
const SERVICE = `${parent}/featureServices/flight_delay`;

function contextOf(principal: Principal = anonymous): CallContext {
  return {
    path: "/test",
    signal: new AbortController().signal,
    deadlineMs: Date.now() + 60_000,
    principal,
    header: () => undefined,
    trace: ROOT_CONTEXT,
  };
}

/** A message as a handler gets it. */
function message<D extends DescMessage>(schema: D, init: MessageInitShape<D>): MessageShape<D> {
  return create(schema, init);
}

async function useHandlers() {
  const { offline, documents } = await useOfflineStore();
  const definitions = await DefinitionStore.open(documents, systemClock);
  onTestFinished(async () => {
    await definitions[Symbol.asyncDispose]();
  });
  const online = await OnlineStore.open(documents);
  const viewHealth = await ViewHealthStore.open(documents, systemClock);
  const deps = { definitions, online, offline, events: silent, registry: undefined, viewHealth };
  const handlers = featureRegistryHandlers(deps);
  const apply = (request: Request, principal?: Principal) =>
    handlers.applyDefinitions(
      message(ApplyDefinitionsRequestSchema, { parent, ...request } as Request),
      contextOf(principal),
    );
  const deleteView = () =>
    handlers.deleteFeatureView(
      message(DeleteFeatureViewRequestSchema, { name: DELAYS }),
      contextOf(),
    );
  const deleteService = (name: string) =>
    handlers.deleteFeatureService(
      message(DeleteFeatureServiceRequestSchema, { name }),
      contextOf(),
    );
  return { ...deps, handlers, apply, deleteView, deleteService };
}

/** One row of the delays of an airport, in both stores. */
async function pushRow(parts: Awaited<ReturnType<typeof useHandlers>>): Promise<History> {
  const definitions = await parts.definitions.get("w");
  const view = viewOf(definitions, { workspace: "w", view: "airport_delays" });
  const batch = {
    rows: 1,
    keys: { airport: ["ATL"] },
    features: { mean_delay: [1.5], flights: [2] },
    eventUs: [1_000_000],
    createdUs: [1_000_000],
  };
  await parts.online.write("w", view, batch);
  const history = { uid: view.uid, workspace: "w", view: "airport_delays" };
  const { joinKeys, features } = view.version;
  await parts.offline.append(history, { joinKeys, features }, batch);
  return history;
}

async function onlineRows(parts: Awaited<ReturnType<typeof useHandlers>>): Promise<number> {
  const key = entityKey("w", [{ joinKey: "airport", type: "STRING", cell: "ATL" }]);
  return (await parts.online.read([key])).filter((document) => document !== undefined).length;
}

describe("FeatureRegistryService", () => {
  it("shows a plan, makes it so, and has nothing to do the second time", async () => {
    const { apply, definitions } = await useHandlers();
    const planned = await apply({ ...FLIGHTS, dryRun: true });
    expect((await definitions.get("w")).entities).toEqual({});
    const made = await apply(FLIGHTS);
    expect(made).toEqual(planned);
    expect(made.changes).toEqual([
      {
        name: `${parent}/entities/airport`,
        action: DefinitionChange_Action.CREATE,
        version: 0n,
        differences: [],
      },
      { name: DELAYS, action: DefinitionChange_Action.CREATE, version: 1n, differences: [] },
      {
        name: `${parent}/onDemandFeatureViews/route`,
        action: DefinitionChange_Action.CREATE,
        version: 1n,
        differences: [],
      },
      { name: SERVICE, action: DefinitionChange_Action.CREATE, version: 1n, differences: [] },
    ]);
    const again = await apply(FLIGHTS);
    expect(again.changes?.map(({ action }) => action)).toEqual(
      Array(4).fill(DefinitionChange_Action.UNCHANGED),
    );
  });

  it("keeps callers to their workspace, and workspaces to their pattern", async () => {
    const { apply, handlers } = await useHandlers();
    const stranger = { id: "k", workspace: "v", roles: [Role.EDITOR] };
    await expect(apply(FLIGHTS, stranger)).rejects.toMatchObject({ kind: "PermissionDenied" });
    const get = handlers.getFeatureView(
      message(GetFeatureViewRequestSchema, { name: DELAYS }),
      contextOf(stranger),
    );
    await expect(get).rejects.toMatchObject({ kind: "PermissionDenied" });
    for (const wrong of ["workspaces/-", "workspaces/W", "w"]) {
      await expect(apply({ ...FLIGHTS, parent: wrong })).rejects.toMatchObject({
        kind: "InvalidArgument",
      });
    }
  });

  it("gets the newest version, or the one in the name", async () => {
    const { apply, handlers } = await useHandlers();
    await apply(FLIGHTS);
    await apply({
      featureServices: [{ name: SERVICE, projections: [{ featureView: "airport_delays" }] }],
    });
    const get = (name: string) =>
      handlers.getFeatureService(message(GetFeatureServiceRequestSchema, { name }), contextOf());
    expect((await get(SERVICE)).version).toBe(2n);
    expect((await get(`${SERVICE}/versions/1`)).outputFeatures).toHaveLength(5);
    await expect(get(`${SERVICE}/versions/3`)).rejects.toThrow("has no version 3; it has 1, 2.");
    await expect(get(`${parent}/featureServices/flights_delay`)).rejects.toThrow(
      'Did you mean "flight_delay"?',
    );
  });

  it("lists by name, page by page", async () => {
    const { apply, handlers } = await useHandlers();
    const ids = ["b", "a", "c", "B", "constructor"];
    await apply({ entities: ids.map((name) => ({ name, joinKeys: fields("k STRING") })) });
    const list = (pageToken: string, pageSize = 2, of = parent) =>
      handlers.listEntities(
        message(ListEntitiesRequestSchema, { parent: of, pageSize, pageToken }),
        contextOf(),
      );
    const seen: string[] = [];
    let token = "";
    do {
      const page = await list(token);
      seen.push(...(page.entities ?? []).map(({ name = "" }) => name.split("/").at(-1) ?? ""));
      token = page.nextPageToken ?? "";
    } while (token !== "");
    expect(seen).toEqual(["B", "a", "b", "c", "constructor"]);
    const { nextPageToken = "" } = await list("");
    await expect(list(nextPageToken, 2, "workspaces/v")).rejects.toMatchObject({
      reason: ErrorReason.INVALID_PAGE_TOKEN,
    });
    await expect(list("", -1)).rejects.toMatchObject({ kind: "InvalidArgument" });
    expect((await list("", 0)).entities).toHaveLength(5);
  });

  it("says what the stores hold of a view", async () => {
    const parts = await useHandlers();
    await parts.apply(FLIGHTS);
    await pushRow(parts);
    const status = await parts.handlers.getFeatureViewStatus(
      message(GetFeatureViewStatusRequestSchema, { name: DELAYS }),
      contextOf(),
    );
    expect(status).toMatchObject({ name: `${DELAYS}/status`, offlineRows: 0n, pendingRows: 1n });
  });

  it("deletes nothing that is in use", async () => {
    const { apply, deleteView, handlers } = await useHandlers();
    await apply(FLIGHTS);
    await expect(deleteView()).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.RESOURCE_IN_USE,
      violations: [{ type: "RESOURCE_IN_USE", subject: SERVICE }],
    });
    const name = `${parent}/entities/airport`;
    const entity = handlers.deleteEntity(
      { $typeName: "plinth.features.v1.DeleteEntityRequest", name },
      contextOf(),
    );
    await expect(entity).rejects.toMatchObject({ violations: [{ subject: DELAYS }] });
    const route = handlers.deleteOnDemandFeatureView(
      {
        $typeName: "plinth.features.v1.DeleteOnDemandFeatureViewRequest",
        name: `${parent}/onDemandFeatureViews/route`,
      },
      contextOf(),
    );
    await expect(route).rejects.toMatchObject({ violations: [{ subject: SERVICE }] });
  });

  it("deletes a view with its rows, and makes another of its name", async () => {
    const parts = await useHandlers();
    const { apply, deleteService, deleteView, definitions, offline } = parts;
    await apply(FLIGHTS);
    const history = await pushRow(parts);
    expect(await onlineRows(parts)).toBe(1);
    await deleteService(SERVICE);
    await deleteView();
    expect(await onlineRows(parts)).toBe(0);
    expect(await offline.status(history)).toMatchObject({ rows: 0, pendingRows: 0, files: 0 });
    await expect(deleteView()).rejects.toMatchObject({ kind: "NotFound" });
    await apply(FLIGHTS);
    const { featureViews, leaving } = await definitions.get("w");
    expect(featureViews.airport_delays?.uid).not.toBe(history.uid);
    expect(leaving).toEqual([]);
  });

  it("removes rows later where the first try ended half-way", async () => {
    const parts = await useHandlers();
    await parts.apply(FLIGHTS);
    const history = await pushRow(parts);
    await parts.deleteService(SERVICE);
    // As a delete leaves it whose process ended after the first write.
    await parts.definitions.change("w", ({ featureViews: _gone, ...current }) => ({
      ...current,
      featureViews: {},
      leaving: [{ uid: history.uid, view: history.view, online: true }],
    }));
    const failures: unknown[] = [];
    await finishAllRemovals(parts, (_workspace, error) => failures.push(error));
    expect(failures).toEqual([]);
    expect(await onlineRows(parts)).toBe(0);
    expect(await parts.offline.status(history)).toMatchObject({ pendingRows: 0 });
    expect((await parts.definitions.get("w")).leaving).toEqual([]);
  });

  it("deletes one version of a service, and never gives its number again", async () => {
    const { apply, deleteService, definitions } = await useHandlers();
    await apply(FLIGHTS);
    const other = { name: SERVICE, projections: [{ featureView: "airport_delays" }] };
    await apply({ featureServices: [other] });
    await deleteService(`${SERVICE}/versions/2`);
    await expect(deleteService(`${SERVICE}/versions/2`)).rejects.toMatchObject({
      kind: "NotFound",
    });
    const again = await apply({ featureServices: [other] });
    expect(again.changes?.[0]?.version).toBe(3n);
    await deleteService(`${SERVICE}/versions/1`);
    await deleteService(`${SERVICE}/versions/3`);
    expect((await definitions.get("w")).featureServices).toEqual({});
    expect((await apply({ featureServices: [other] })).changes?.[0]?.version).toBe(4n);
  });
});
