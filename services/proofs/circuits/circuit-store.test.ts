import { describe, expect, it } from "vitest";
import { Aborted, NotFound } from "../../common/errors/domain-error.ts";
import { circuitEtag } from "./circuit-store.ts";
import { deleteCircuit } from "./delete-circuit.ts";
import { keyDocument, useCircuitStore, VERSION } from "./testing/use-circuit-store.ts";

const { signal } = new AbortController();

describe("the store of circuits", () => {
  it("has the active circuit of a version under a name of its own", async () => {
    const { circuits, add } = await useCircuitStore();
    const { _id: a } = await add("a");
    await expect(circuits.get(`${VERSION}/circuits/active`)).rejects.toBeInstanceOf(NotFound);
    await circuits.activate(a);
    expect(await circuits.get(`${VERSION}/circuits/active`)).toMatchObject({
      _id: a,
      active: true,
    });
    const { _id: b, version } = await add("b");
    const activated = await circuits.activate(b);
    expect(activated.version).toBe(version + 1);
    expect((await circuits.get(a)).active).toBe(false);
    expect(await circuits.activate(b)).toEqual(activated);
  });

  it("activates none that is not ready, nor another than the caller read", async () => {
    const { circuits, add } = await useCircuitStore();
    const open = await add("open", { key: keyDocument("ceremony") });
    await expect(circuits.activate(open._id)).rejects.toMatchObject({ kind: "FailedPrecondition" });
    const running = await add("running", { state: "RUNNING" });
    await expect(circuits.activate(running._id)).rejects.toThrow(/not READY/);
    expect(await circuits.active(VERSION)).toBeUndefined();
    const a = await add("a");
    await circuits.setKey(a._id, { ifVersion: a.version, key: keyDocument() });
    await expect(circuits.activate(a._id, circuitEtag(a))).rejects.toBeInstanceOf(Aborted);
    const stale = { ifVersion: a.version, key: keyDocument() };
    await expect(circuits.setKey(a._id, stale)).rejects.toMatchObject({
      kind: "Aborted",
      message: expect.stringMatching(/\/a was changed by another call meanwhile\. Read it again/),
    });
  });

  it("takes the first that is ready, unless another was or is about to be", async () => {
    const { circuits, add } = await useCircuitStore();
    const failed = await add("failed", { state: "RUNNING" });
    expect(await circuits.activateFirst(failed)).toBe(true);
    const { version, revision: _revision, ...body } = failed;
    await circuits.jobs.collection.replaceOne({ ...body, state: "FAILED" }, { ifVersion: version });
    const first = await add("first", { state: "RUNNING" });
    const second = await add("second", { state: "RUNNING" });
    expect(await circuits.activateFirst(first)).toBe(true);
    expect(await circuits.activateFirst(first)).toBe(true);
    expect(await circuits.activateFirst(second)).toBe(false);
    // It is used once it is ready, and not before.
    expect(await circuits.active(VERSION)).toBeUndefined();
  });

  it("takes the first of a version in the place of one whose version had its name before", async () => {
    const { circuits, add } = await useCircuitStore();
    const { _id: former } = await add("former", { modelVersionUid: "of before" });
    await circuits.activate(former);
    const { version, revision: _revision, ...first } = await add("first", { state: "RUNNING" });
    expect(await circuits.activateFirst(first)).toBe(true);
    await circuits.jobs.collection.replaceOne(
      { ...first, state: "SUCCEEDED" },
      { ifVersion: version },
    );
    expect((await circuits.active(VERSION))?._id).toBe(first._id);
    // Both of what stands with it and of what is given out.
    expect((await circuits.jobs.get(former)).active).toBe(false);
  });

  it("has exactly one active circuit, at any moment, of many that are activated at once", async () => {
    const { circuits, add } = await useCircuitStore();
    const names = [(await add("a"))._id, (await add("b"))._id, (await add("c"))._id];
    await circuits.activate(names[0]!);
    const activeNow = async () =>
      (await circuits.ofVersion(VERSION)).filter(({ active }) => active).map(({ _id }) => _id);
    const counts = new Set<number>();
    let isDone = false;
    const looking = (async () => {
      while (!isDone) {
        counts.add((await activeNow()).length);
      }
    })();
    for (let round = 0; round < 6; round++) {
      await Promise.all(names.toReversed().map((name) => circuits.activate(name)));
    }
    isDone = true;
    await looking;
    expect([...counts]).toEqual([1]);
    const active = await activeNow();
    expect([(await circuits.active(VERSION))?._id]).toEqual(active);
    // What is stored with the circuits has followed.
    const stored = await Array.fromAsync(circuits.jobs.collection.find({ active: true }));
    expect(stored.map(({ _id }) => _id)).toEqual(active);
  });

  it("never has an active circuit that was deleted without force, whatever comes first", async () => {
    for (let round = 0; round < 30; round++) {
      const { circuits, add } = await useCircuitStore();
      const { _id: a } = await add("a");
      await circuits.activate(a);
      const { _id: b } = await add("b");
      const [deleted, activated] = await Promise.allSettled([
        deleteCircuit(
          { circuits, waitingRows: () => 0 },
          { name: b, etag: "", force: false },
          signal,
        ),
        circuits.activate(b),
      ]);
      const active = await circuits.active(VERSION);
      expect([deleted.status, activated.status].toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(active?._id).toBe(activated.status === "fulfilled" ? b : a);
    }
  });

  it("counts times without a change of the circuit, the newest hundred", async () => {
    const { circuits, add } = await useCircuitStore();
    const a = await add("a");
    for (let ms = 1; ms <= 102; ms++) {
      await circuits.addProveMs(a.uid, ms);
    }
    const { proveMs, version } = await circuits.get(a._id);
    expect([proveMs.length, proveMs[0], proveMs.at(-1), version]).toEqual([100, 3, 102, a.version]);
    await circuits.remove(a);
    // Of a proof that was under way when the circuit went.
    await circuits.addProveMs(a.uid, 5);
    const again = await add("a");
    expect((await circuits.get(again._id)).proveMs).toEqual([]);
  });

  it("names every blob that a circuit refers to", async () => {
    const { circuits, add } = await useCircuitStore();
    await add("a", { calibrationData: "d".repeat(64) });
    const digests = await Array.fromAsync(circuits.referencedDigests());
    expect(new Set(digests.map(([first]) => first))).toEqual(new Set(["a", "b", "c", "d"]));
  });
});
