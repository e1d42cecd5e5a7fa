import { describe, expect, it, onTestFinished } from "vitest";
import { ModelVersion_State } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { systemClock } from "../common/clock.ts";
import { withoutStamps } from "../common/documents/resource.ts";
import { useStore } from "../common/documents/testing.ts";
import { Unavailable } from "../common/errors/domain-error.ts";
import { createLogger } from "../common/telemetry/log.ts";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { createEvents } from "./events.ts";
import { openRegistryStore } from "./store.ts";
import { linearModel } from "./test-models.ts";
import {
  makeModel,
  type TestRegistry,
  upload,
  useBlobs,
  useRegistry,
  validated,
} from "./testing.ts";
import { ValidationQueue } from "./validation-queue.ts";

async function createUnvalidated(registry: TestRegistry, scale = 1): Promise<string> {
  const model = "workspaces/default/models/m";
  await makeModel(registry, "m").catch(() => undefined);
  const { name } = await registry.models.createModelVersion({
    parent: model,
    upload: await upload(registry, linearModel({ scale })),
  });
  return name;
}

describe("validation-queue", () => {
  it("takes up at start what an earlier process left", async () => {
    const documents = await useStore();
    const blobs = await useBlobs();
    const first = await useRegistry({ documents, blobs, isStarted: false });
    const name = await createUnvalidated(first);
    const second = await useRegistry({ documents, blobs });
    expect((await validated(second, name)).state).toBe(ModelVersion_State.READY);
  });

  it("shares the work between replicas, each version once", async () => {
    const documents = await useStore();
    const blobs = await useBlobs();
    const first = await useRegistry({ documents, blobs, isStarted: false });
    const names: string[] = [];
    for (const scale of [1, 2, 3, 4]) {
      names.push(await createUnvalidated(first, scale));
    }
    const store = await openRegistryStore(documents);
    const runs: string[] = [];
    const queues = ["a", "b"].map((replica) => {
      const log = createLogger({
        service: replica,
        level: "info",
        pretty: false,
        write: (line) => void runs.push(JSON.parse(line)["plinth.model_version"]),
      });
      const config = { ...first.config, validationPollMs: 100 };
      const events = createEvents(log);
      const queue = new ValidationQueue({ config, store, blobs, clock: systemClock, events });
      onTestFinished(async () => {
        await queue[Symbol.asyncDispose]();
      });
      return queue;
    });
    for (const queue of queues) {
      queue.start();
    }
    for (const name of names) {
      await validated(first, name);
    }
    await Promise.all(queues.map((queue) => queue[Symbol.asyncDispose]()));
    expect(runs.sort()).toEqual(names.sort());
    expect(await store.leases.countDocuments({})).toBe(0);
  });

  it("respects a live lease and takes over an expired one", async () => {
    const clock = new FakeClock(Date.now());
    const documents = await useStore({ clock });
    const blobs = await useBlobs();
    const first = await useRegistry({ documents, blobs, clock, isStarted: false });
    const name = await createUnvalidated(first);
    const store = await openRegistryStore(documents);
    await store.leases.insertOne({
      _id: name,
      owner: "a replica that died",
      until: new Date(clock.now() + 30_000),
    });
    const config = { validationPollMs: 100 };
    const second = await useRegistry({ documents, blobs, clock, config });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const waiting = await second.models.getModelVersion({ name });
    expect(waiting.state).toBe(ModelVersion_State.VALIDATING);
    clock.advance(30_001);
    expect((await validated(second, name)).state).toBe(ModelVersion_State.READY);
  });

  it("tries again after a fault that is not the model's", async () => {
    const blobs = await useBlobs();
    const localPath = blobs.localPath.bind(blobs);
    let faults = 2;
    blobs.localPath = async (digest) => {
      if (faults-- > 0) {
        throw new Unavailable("away", { reason: 0, retryAfterMs: 1 });
      }
      return localPath(digest);
    };
    const registry = await useRegistry({ blobs, config: { validationPollMs: 100 } });
    const name = await createUnvalidated(registry);
    expect((await validated(registry, name)).state).toBe(ModelVersion_State.READY);
    expect(faults).toBe(-1);
  });

  it("leaves a version VALIDATING when it is stopped", async () => {
    const documents = await useStore();
    const blobs = await useBlobs();
    const first = await useRegistry({ documents, blobs });
    const name = await createUnvalidated(first);
    await first.module.drain();
    const store = await openRegistryStore(documents);
    const left = await store.versions.findOne({ _id: name });
    expect(["VALIDATING", "READY"]).toContain(left?.state);
    expect(await store.leases.countDocuments({})).toBe(0);
    const second = await useRegistry({ documents, blobs });
    expect((await validated(second, name)).state).toBe(ModelVersion_State.READY);
  });

  it("stores no verdict on a version that was deleted meanwhile", async () => {
    const registry = await useRegistry();
    const name = await createUnvalidated(registry);
    await registry.models.deleteModelVersion({ name });
    const again = await createUnvalidated(registry, 2);
    expect(again).not.toBe(name);
    expect((await validated(registry, again)).state).toBe(ModelVersion_State.READY);
    const store = await openRegistryStore(registry.documents);
    const versions = [];
    for await (const version of store.versions.find({})) {
      versions.push(withoutStamps(version)._id);
    }
    expect(versions).toEqual([again]);
  });
});
