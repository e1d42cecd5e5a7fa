// Circuits that are refused, stopped and deleted.

import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  CircuitOptions_OutputMode as OutputMode,
  CircuitOptions_Setup as Setup,
  Circuit_State as State,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { Workspace_Environment as Environment } from "../../../gen/plinth/registry/v1/workspace_pb.js";
import { singleNode } from "../../../services/registry/test-models.ts";
import { makeModel, push } from "../../../services/registry/testing.ts";
import { beforeTask } from "./start-circuits.ts";
import {
  BYTES,
  makeLinear,
  pushLinear,
  type TestRegistryServer,
  useCircuits,
  useRegistryServer,
  watched,
} from "./use-circuits.ts";

const NAME = "workspaces/default";

/** Marks the workspace of the tests. */
async function mark({ registry }: TestRegistryServer, environment: Environment): Promise<void> {
  await registry.workspaces.updateWorkspace({
    workspace: { name: NAME, environment },
    updateMask: { paths: ["environment"] },
  });
}

/** The machine may be busy with other tests. */
const PATIENT = { timeout: 20_000 };

describe("a request for a circuit", { timeout: 120_000 }, () => {
  it("is answered again when it is sent again, and refused when it says something else", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const { client } = await useCircuits(server, { isMaking: false });
    const request = { parent, circuitId: "", requestId: "once", options: BYTES };
    const first = await client.createCircuit(request);
    expect(await client.createCircuit(request)).toEqual(first);
    expect(first.name).toMatch(/\/versions\/1\/circuits\/circuit-/);
    await expect(
      client.createCircuit({ ...request, options: { context: true } }),
    ).rejects.toMatchObject({ violations: [{ field: "request_id" }] });
    const named = { parent, circuitId: "c", options: BYTES };
    await client.createCircuit(named);
    await expect(client.createCircuit(named)).rejects.toMatchObject({ kind: "AlreadyExists" });
    expect(
      (await client.listCircuits({ parent: `${NAME}/models/-/versions/-` })).circuits,
    ).toHaveLength(2);
    expect(
      (await client.listCircuits({ parent: `${NAME}/models/no/versions/-` })).circuits,
    ).toEqual([]);
    const page = await client.listCircuits({ parent, pageSize: 1 });
    expect(page.circuits.map(({ name }) => name)).toEqual([`${parent}/circuits/c`]);
    const rest = await client.listCircuits({ parent, pageToken: page.nextPageToken });
    expect(rest.circuits.map(({ name }) => name)).toEqual([first.name]);
  });

  it("is refused where too many of the workspace wait, also when they come at once", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const { client, circuits } = await useCircuits(server, { isMaking: false });
    const asked = Array.from({ length: 130 }, (_, i) =>
      client.createCircuit({ parent, circuitId: `c${i}`, options: BYTES }),
    );
    const refused = (await Promise.allSettled(asked)).filter((one) => one.status === "rejected");
    expect(refused).toHaveLength(30);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({
        kind: "ResourceExhausted",
        message: expect.stringContaining("100 circuits of the workspace wait"),
      });
    }
    expect(await circuits.jobs.collection.countDocuments({})).toBe(100);
  });

  it("takes calibration data of a size that keeps nobody waiting", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const { client } = await useCircuits(server, { isMaking: false });
    const ask = (values: number) => {
      const floats = new Array<number>(values).fill(1.5);
      return client.createCircuit({
        parent,
        calibration: { rows: 2, inputs: [{ name: "x", floats }] },
      });
    };
    await expect(ask(2 * 1024 * 1024 + 2)).rejects.toMatchObject({
      violations: [
        {
          field: "calibration",
          description: "has 8388616 bytes of values; up to 8388608 are taken: send fewer rows",
        },
      ],
    });
    expect(await ask(2 * 1024 * 1024)).toMatchObject({ state: State.QUEUED });
  });

  it("is told everything that is wrong with it at once, by the names of the API", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const { client } = await useCircuits(server, { isMaking: false });
    const bad = client.createCircuit({
      parent,
      circuitId: "active",
      options: {
        weightBits: 33,
        leafBits: 1,
        threshold: 1,
        inputs: { x: { scaleBits: 3, low: 2 } },
        setup: Setup.CEREMONY,
        powersOfTau: "workspaces/other/powersOfTau/p",
      },
      calibration: { rows: 2, inputs: [{ name: "x", floats: [1, 2, 3] }], labels: [1] },
    });
    await expect(bad).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "circuit_id" },
        { field: "options.weight_bits" },
        { field: "options.leaf_bits" },
        { field: "options.threshold" },
        { field: 'options.inputs["x"]' },
        { field: "options.powers_of_tau" },
        { field: "calibration.labels" },
        { field: "calibration.inputs[0]" },
      ],
    });
    const ask = (options: object) => client.createCircuit({ parent, options });
    await expect(ask({ outputMode: OutputMode.THRESHOLD })).rejects.toThrow(
      /threshold must be said/,
    );
    await expect(
      ask({ setup: Setup.UNIVERSAL, powersOfTau: `${NAME}/powersOfTau/no` }),
    ).rejects.toMatchObject({ kind: "NotFound" });
    await expect(
      client.createCircuit({ parent: `${NAME}/models/linear/versions/7` }),
    ).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("fails with what to send where the ranges of inputs are not known", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    const { name } = await rig.client.createCircuit({ parent, circuitId: "c" });
    const { circuit } = await watched(rig, name);
    expect(circuit).toMatchObject({ state: State.FAILED, active: false });
    expect(circuit.error?.message).toMatch(
      /options\.inputs\.x: .*say scale_bits, low and high of it, or give calibration data/,
    );
  });

  it("fails with every node that cannot be proved", async () => {
    const server = await useRegistryServer();
    const model = await makeModel(server.registry, "erf");
    const { name: parent } = await push(server.registry, model, singleNode("Erf"));
    const rig = await useCircuits(server);
    const { name } = await rig.client.createCircuit({ parent, circuitId: "c", options: BYTES });
    const { circuit } = await watched(rig, name);
    expect(circuit.state).toBe(State.FAILED);
    expect(circuit.error?.message).toMatch(/1 of its nodes cannot be proved.*y \(Erf\)/);
    await rig.client.deleteCircuit({ name });
    await expect(rig.client.getCircuit({ name })).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("reaches no other workspace", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const principal = { id: "k", workspace: "other", roles: [Role.ADMIN] };
    const { client } = await useCircuits(server, { principal });
    const denied = { kind: "PermissionDenied" };
    const name = `${parent}/circuits/c`;
    await expect(client.createCircuit({ parent })).rejects.toMatchObject(denied);
    await expect(client.listCircuits({ parent })).rejects.toMatchObject(denied);
    await expect(client.getCircuit({ name })).rejects.toMatchObject(denied);
    await expect(client.activateCircuit({ name })).rejects.toMatchObject(denied);
    await expect(client.deleteCircuit({ name })).rejects.toMatchObject(denied);
    for (const stream of [client.watchCircuit({ name }), client.exportCircuit({ name })]) {
      await expect(Array.fromAsync<unknown>(stream)).rejects.toMatchObject(denied);
    }
  });
});

describe("a workspace that is marked production", { timeout: 120_000 }, () => {
  it("takes no development key, neither new nor made before", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    const before = await makeLinear(rig, { parent, circuitId: "before" });
    expect(before.active).toBe(true);
    await mark(server, Environment.PRODUCTION);
    const refused = { kind: "FailedPrecondition", violations: [{ type: "DEV_SETUP" }] };
    await expect(
      rig.client.createCircuit({ parent, circuitId: "after", options: BYTES }),
    ).rejects.toMatchObject(refused);
    const { name } = before;
    await expect(rig.client.activateCircuit({ name })).rejects.toMatchObject(refused);
    // It is taken out of use by itself.
    await expect
      .poll(async () => (await rig.client.getCircuit({ name })).active, PATIENT)
      .toBe(false);
    await mark(server, Environment.DEVELOPMENT);
    expect(await rig.client.activateCircuit({ name })).toMatchObject({ active: true });
  });

  it("activates nothing by itself that became ready after the mark", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server, {
      prover: (prover) =>
        beforeTask(prover, "devSetup", () => mark(server, Environment.PRODUCTION)),
    });
    const circuit = await makeLinear(rig, { parent, circuitId: "c" });
    expect(circuit).toMatchObject({ state: State.READY, active: false });
  });
});

describe("a circuit that is deleted", { timeout: 120_000 }, () => {
  it("is stopped where it is being made", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const entered = Promise.withResolvers<void>();
    const rig = await useCircuits(server, {
      // A set-up that takes until it is stopped.
      prover: (prover) =>
        new Proxy(prover, {
          get: (target, property) =>
            property === "devSetup"
              ? (_files: unknown, { signal }: { readonly signal: AbortSignal }) => {
                  entered.resolve();
                  return new Promise((_, reject) => {
                    signal.addEventListener("abort", () => reject(signal.reason));
                  });
                }
              : Reflect.get(target, property, target),
        }),
    });
    const { name } = await rig.client.createCircuit({ parent, circuitId: "c", options: BYTES });
    await entered.promise;
    const states: number[] = [];
    const watching = (async () => {
      for await (const { circuit } of rig.client.watchCircuit({ name })) {
        states.push(circuit?.state ?? 0);
      }
    })();
    await expect.poll(() => states.length, PATIENT).toBeGreaterThan(0);
    await rig.client.deleteCircuit({ name });
    await watching.catch((error) => expect(error).toMatchObject({ kind: "NotFound" }));
    await expect(rig.client.getCircuit({ name })).rejects.toMatchObject({ kind: "NotFound" });
    expect(states[0]).toBe(State.SETTING_UP);
    const again = await rig.client.createCircuit({ parent, circuitId: "c", options: BYTES });
    expect(again.state).toBe(State.QUEUED);
  });

  it("must be forced where it is active, and guarded by its etag", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    const { name, etag } = await makeLinear(rig, { parent, circuitId: "c" });
    await expect(rig.client.deleteCircuit({ name })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "ACTIVE" }],
    });
    await expect(
      rig.client.deleteCircuit({ name, etag: '"other"', force: true }),
    ).rejects.toMatchObject({ kind: "Aborted" });
    await rig.client.deleteCircuit({ name, etag, force: true });
    const active = rig.client.getCircuit({ name: `${parent}/circuits/active` });
    await expect(active).rejects.toMatchObject({ kind: "NotFound" });
    await expect(rig.client.deleteCircuit({ name })).rejects.toMatchObject({ kind: "NotFound" });
    // The next that is ready is the first again.
    expect(await makeLinear(rig, { parent, circuitId: "d" })).toMatchObject({ active: true });
  });

  it("must be forced where rows that it answered wait for their proofs", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rows = new Map<string, number>();
    const rig = await useCircuits(server, { waitingRows: ({ uid }) => rows.get(uid) ?? 0 });
    await makeLinear(rig, { parent, circuitId: "a" });
    const { name, uid } = await makeLinear(rig, { parent, circuitId: "b" });
    rows.set(uid, 7);
    await expect(rig.client.deleteCircuit({ name })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("7 rows wait for their proofs"),
      violations: [{ type: "PROOFS", subject: name }],
    });
    expect((await rig.client.getCircuit({ name })).uid).toBe(uid);
    rows.delete(uid);
    await rig.client.deleteCircuit({ name });
    const forced = await makeLinear(rig, { parent, circuitId: "c" });
    rows.set(forced.uid, 1);
    await rig.client.deleteCircuit({ name: forced.name, force: true });
  });
});
