import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { DocumentStore } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FailedPrecondition, NotFound } from "../../common/errors/domain-error.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { DefinitionStore } from "./definition-store.ts";
import type { Definitions } from "./definitions.ts";
import { applyTo, defined, FLIGHTS, fields, type Request } from "./testing.ts";

async function useDefinitions(documents: DocumentStore): Promise<DefinitionStore> {
  const store = await DefinitionStore.open(documents, new FakeClock());
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
  });
  return store;
}

function apply(store: DefinitionStore, request: Request, workspace = "w") {
  return store.change(workspace, (current, now) => applyTo(current, request, { now }).next);
}

const entity = (name: string) => ({
  entities: [{ name, joinKeys: fields("k STRING") }],
});

describe("DefinitionStore", () => {
  it("has no definitions in a workspace that nobody used", async () => {
    const store = await useDefinitions(await useStore());
    const empty = await store.get("w");
    expect(empty).toEqual({
      _id: "w",
      entities: {},
      featureViews: {},
      onDemandFeatureViews: {},
      featureServices: {},
    });
    expect(await store.get("w")).toBe(empty);
  });

  it("reads what it wrote, as it was", async () => {
    const documents = await useStore();
    const store = await useDefinitions(documents);
    await store.get("w");
    const written = await apply(store, FLIGHTS);
    expect(await store.get("w")).toBe(written);
    expect(await store.get("v")).toMatchObject({ entities: {} });
    const {
      version: _version,
      revision: _revision,
      ...body
    } = written as never as {
      readonly version: number;
      readonly revision: number;
    };
    const now = new Date(Date.UTC(2026, 0, 1));
    expect(body).toEqual(applyTo(defined(), FLIGHTS, { now }).next);
    const other = await useDefinitions(documents);
    expect(await other.get("w")).toEqual(written);
  });

  it("keeps the object, and writes nothing, when nothing changes", async () => {
    const documents = await useStore();
    const store = await useDefinitions(documents);
    const written = await apply(store, FLIGHTS);
    expect(await apply(store, FLIGHTS)).toBe(written);
    expect(await store.change("w", (current) => current)).toBe(written);
    expect(await store.get("w")).toMatchObject({ version: 1 });
    await store.change("unused", (current) => current);
    const workspaces: string[] = [];
    for await (const workspace of store.workspaces()) {
      workspaces.push(workspace);
    }
    expect(workspaces).toEqual(["w"]);
  });

  it("reads anew before it refuses what another process defined a moment ago", async () => {
    const documents = await useStore();
    const [here, there] = [await useDefinitions(documents), await useDefinitions(documents)];
    const known = await here.get("w");
    const refused = new NotFound("no airport", { reason: ErrorReason.RESOURCE_NOT_FOUND });
    const seen: Definitions[] = [];
    const look = (definitions: Definitions) => {
      seen.push(definitions);
      if (definitions.entities.airport === undefined) {
        throw refused;
      }
      return definitions;
    };
    await expect(here.find("w", look)).rejects.toBe(refused);
    expect(seen).toEqual([known]);
    const written = await apply(there, entity("airport"));
    // Not waiting for the feed: in the same turn of the loop it cannot have come.
    expect(await here.find("w", look)).toEqual(written);
    const more = await apply(there, entity("route"));
    expect(Object.keys((await here.fresh("w")).entities)).toEqual(Object.keys(more.entities));
    expect(await here.get("w")).toBe(await here.fresh("w"));
  });

  it("follows what another process changes", async () => {
    const documents = await useStore();
    const [here, there] = [await useDefinitions(documents), await useDefinitions(documents)];
    expect(Object.keys((await here.get("w")).entities)).toEqual([]);
    for (const name of ["a", "b"]) {
      await apply(there, entity(name));
      await vi.waitFor(async () => {
        expect(Object.keys((await here.get("w")).entities)).toContain(name);
      });
    }
    expect(await here.get("w")).toBe(await here.get("w"));
  });

  it("takes every one of many applies at once, through several stores", async () => {
    const documents = await useStore();
    const stores = [await useDefinitions(documents), await useDefinitions(documents)];
    const names = Array.from({ length: 24 }, (_, index) => `e${index}`);
    await Promise.all(names.map((name, index) => apply(stores[index % 2]!, entity(name))));
    await Promise.all(names.map((name, index) => apply(stores[(index + 1) % 2]!, entity(name))));
    for (const store of stores) {
      await vi.waitFor(async () => {
        expect(Object.keys((await store.get("w")).entities).sort()).toEqual([...names].sort());
      });
    }
    // Each name is written once; the second round changes nothing.
    expect(await stores[0]!.get("w")).toMatchObject({ version: names.length });
  });

  it("never gives two versions of a view one number", async () => {
    const store = await useDefinitions(await useStore());
    await apply(store, entity("e"));
    const ttls = Array.from({ length: 10 }, (_, index) => BigInt(index + 1));
    await Promise.all(
      ttls.map((seconds) =>
        apply(store, {
          featureViews: [
            { name: "v", entities: ["e"], features: fields("x BOOL"), ttl: { seconds } },
          ],
        }),
      ),
    );
    const { versions, latestNumber } = (await store.get("w")).featureViews.v!;
    expect(versions.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(latestNumber).toBe(10);
    expect(new Set(versions.map(({ ttlUs }) => ttlUs)).size).toBe(10);
  });

  it("writes nothing when the change is refused", async () => {
    const store = await useDefinitions(await useStore());
    const before = await apply(store, entity("e"));
    const bad = { featureViews: [{ name: "v", entities: ["f"], features: fields("x BOOL") }] };
    await expect(apply(store, { ...entity("g"), ...bad })).rejects.toThrow('"f" is no entity');
    expect(await store.get("w")).toBe(before);
  });

  it("says when the definitions of a workspace are too large", async () => {
    const store = await useDefinitions(await useStore());
    const features = Array.from({ length: 1000 }, (_, index) => ({
      ...fields(`x${index} BOOL`)[0]!,
      description: "d".repeat(9000),
    }));
    const request: Request = {
      ...entity("e"),
      featureViews: [{ name: "v", entities: ["e"], features }],
    };
    const refused = apply(store, request);
    await expect(refused).rejects.toThrow(FailedPrecondition);
    await expect(refused).rejects.toMatchObject({ reason: ErrorReason.STORAGE_FULL });
    await expect(refused).rejects.toThrow("take at most 8 MiB");
    expect(Object.keys((await store.get("w")).featureViews)).toEqual([]);
  });

  it("keeps what strange ids mean", async () => {
    const documents = await useStore();
    const store = await useDefinitions(documents);
    await apply(store, {
      entities: [{ name: "constructor", joinKeys: fields("toString STRING") }],
    });
    await apply(store, { entities: [{ name: "a.b-c", joinKeys: fields("k STRING") }] });
    const other = await useDefinitions(documents);
    expect(Object.keys((await other.get("w")).entities)).toEqual(["constructor", "a.b-c"]);
  });
});
