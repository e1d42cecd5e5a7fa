import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { VersionServingStatus_State } from "../../../gen/plinth/registry/v1/deployment_pb.js";
import { systemClock } from "../../common/clock.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { floats, type Graph } from "../../common/testing/onnx-writer.ts";
import { identity } from "../testing/graphs.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { requestOf, tensorOf, valuesOf } from "../testing/test-servable.ts";
import { createEngine, type LocalEngine } from "./local-engine.ts";

const REF = { workspace: "w", deployment: "d" };

/** y = x + constant, so that an answer tells which version gave it. */
function plus(constant: number): Graph {
  return {
    nodes: [{ op: "Add", inputs: ["x", "c"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "FP32", shape: ["N", 1] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["N", 1] }],
    initializers: [floats("c", [1], [constant])],
  };
}

function startEngine(registry: TestRegistry, loadedVersionsMax = 16): LocalEngine {
  const engine = createEngine({
    serverId: "test-server",
    ...registry.clients,
    config: { intraOpThreads: 1, loadedVersionsMax, queueBytesMax: 2 ** 28 },
    clock: systemClock,
    random: Math.random,
    log: createLogger({ service: "inference", level: "off" }),
  });
  onTestFinished(() => engine[Symbol.asyncDispose]());
  engine.start();
  return engine;
}

async function ask(
  engine: LocalEngine,
  options: { readonly version?: string; readonly key?: string } = {},
): Promise<unknown> {
  const ref = options.version === undefined ? REF : { ...REF, version: options.version };
  const servable = engine.route(ref, options.key);
  const result = await engine.infer(requestOf(servable, [tensorOf("x", "FP32", [1, 1], [0])]));
  return valuesOf(result.outputs[0]!)[0];
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await sleep(2);
  }
}

function states(engine: LocalEngine): string {
  try {
    const { versions, revision } = engine.deployment("w", "d");
    return `r${revision} ${versions.map((one) => `${one.version} ${one.state}`).join(", ")}`;
  } catch {
    return "none";
  }
}

async function registryWith(...constants: readonly number[]): Promise<TestRegistry> {
  const registry = new TestRegistry();
  for (const [index, constant] of constants.entries()) {
    await registry.addVersion(index + 1, plus(constant));
  }
  return registry;
}

const version = (number: number): string => `workspaces/w/models/m/versions/${number}`;
const target = (number: number, weight = 100) => ({ modelVersion: version(number), weight });

describe("local-engine", () => {
  it("learns the feature service of a version with the version", async () => {
    const registry = await registryWith(1);
    registry.featureService = "workspaces/w/featureServices/f/versions/2";
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => states(engine) === "r1 1 READY");
    const { featureService } = engine.route(REF, undefined);
    expect(featureService).toBe("workspaces/w/featureServices/f/versions/2");
  });

  it("serves what the registry deploys, by the deployment's name only", async () => {
    const registry = await registryWith(10);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    expect(engine.ready()).toBe(false);
    await until(() => engine.ready());
    expect(await ask(engine)).toBe(10);
    expect(engine.deployments("w").map((one) => one.deployment)).toEqual(["d"]);
    expect(engine.deployments("other")).toEqual([]);
    expect(() => engine.route({ workspace: "other", deployment: "d" }, undefined)).toThrow(
      expect.objectContaining({ kind: "NotFound" }),
    );
    expect(() => engine.route({ ...REF, version: "7" }, undefined)).toThrow(
      expect.objectContaining({ kind: "NotFound" }),
    );
    expect(engine.statistics("w", "d", "1")).toMatchObject({ inferenceCount: 1 });
  });

  it("swaps versions under load without one failed request, then frees the old one", async () => {
    const registry = await registryWith(10, 20);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const answers: unknown[] = [];
    let loading = true;
    const callers = Array.from({ length: 16 }, async () => {
      while (loading) {
        answers.push(await ask(engine));
        await sleep(0);
      }
    });
    await until(() => answers.length > 100);
    registry.deploy("d", { targets: [target(2)] });
    await until(() => answers.at(-1) === 20);
    registry.deploy("d", { targets: [target(1, 50), target(2, 50)] });
    await until(() => states(engine) === "r3 1 READY, 2 READY" && answers.at(-1) === 10);
    registry.deploy("d", { targets: [target(2)] });
    await until(() => states(engine) === "r4 2 READY");
    loading = false;
    await Promise.all(callers);
    expect(new Set(answers)).toEqual(new Set([10, 20]));
    expect(() => engine.statistics("w", "d", "1")).toThrow("is not loaded here");
  });

  it("keeps the old revision when the new version cannot be loaded, and says why", async () => {
    const registry = await registryWith(10);
    await registry.addVersion(2, new TextEncoder().encode("not a model"), plus(0));
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    registry.deploy("d", { targets: [target(2)] });
    await until(() => states(engine) === "r2 2 FAILED, 1 READY");
    expect(await ask(engine)).toBe(10);
    const reason = () => registry.reports.at(-1)?.deployments[0]?.versions[0]?.reason ?? "";
    await until(() => reason() !== "");
    const { deployments, serverId } = registry.reports.at(-1)!;
    expect(serverId).toBe("test-server");
    expect(deployments[0]?.versions[0]).toMatchObject({
      modelVersion: version(2),
      state: VersionServingStatus_State.FAILED,
      reason: "Load model from the model file failed:Protobuf parsing failed.",
    });
    registry.deploy("d", { targets: [target(1)] });
    await until(() => states(engine) === "r3 1 READY");
  });

  it("sends the traffic of a target that is not ready to the others", async () => {
    const registry = await registryWith(10);
    await registry.addVersion(2, new TextEncoder().encode("not a model"), plus(0));
    registry.deploy("d", { targets: [target(1, 1), target(2, 99)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(engine)));
    expect(new Set(answers)).toEqual(new Set([10]));
    expect(() => engine.route({ ...REF, version: "2" }, undefined)).toThrow(
      expect.objectContaining({ kind: "Unavailable", reason: ErrorReason.MODEL_NOT_READY }),
    );
  });

  it("routes a key to one version and a version to itself", async () => {
    const registry = await registryWith(10, 20, 30);
    registry.deploy("d", { targets: [target(1, 50), target(2, 50), target(3, 0)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);
    const first = await Promise.all(keys.map((key) => ask(engine, { key })));
    const second = await Promise.all(keys.map((key) => ask(engine, { key })));
    expect(second).toEqual(first);
    expect(new Set(first)).toEqual(new Set([10, 20]));
    expect(await ask(engine, { version: "3" })).toBe(30);
  });

  it("changes batching without loading anew", async () => {
    const registry = await registryWith(10);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const before = engine.route(REF, undefined);
    expect(before.maxBatchRows).toBe(64);
    registry.deploy("d", { targets: [target(1)], batching: { maxBatchRows: 8 } });
    await until(() => before.maxBatchRows === 8);
    expect(engine.route(REF, undefined)).toBe(before);
  });

  it("changes what is proved at once, without loading anew", async () => {
    const registry = await registryWith(10);
    const targets = [target(1)];
    registry.deploy("d", { targets });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const servable = engine.route(REF, undefined);
    expect(servable.proofs).toEqual({ verifiable: false, receipts: false });
    registry.deploy("d", { targets, proofs: { verifiable: true } });
    await until(() => servable.proofs.verifiable);
    expect(servable.proofs.receipts).toBe(false);
    registry.deploy("d", { targets, proofs: { receipts: true } });
    await until(() => servable.proofs.receipts);
    expect(servable.proofs.verifiable).toBe(false);
    expect(engine.route(REF, undefined)).toBe(servable);
  });

  it("has a new version prove what the deployment does before it answers", async () => {
    const registry = await registryWith(10);
    registry.deploy("d", { targets: [target(1)], proofs: { receipts: true } });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    expect(engine.route(REF, undefined).proofs).toEqual({ verifiable: false, receipts: true });
  });

  it("loads anew when the instances change, and serves meanwhile", async () => {
    const registry = await registryWith(10);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const before = engine.route(REF, undefined);
    registry.deploy("d", { targets: [target(1)], instances: { count: 2 } });
    await until(() => engine.route(REF, undefined) !== before);
    const late = requestOf(before, [tensorOf("x", "FP32", [1, 1], [1])]);
    expect(valuesOf((await engine.infer(late)).outputs[0]!)).toEqual([11]);
  });

  it("copies requests to shadows, whose failures nobody sees", async () => {
    const registry = await registryWith(10, 20);
    registry.deploy("d", {
      targets: [target(1)],
      shadows: [{ modelVersion: version(2), sampleRate: 1 }],
    });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const answers = await Promise.all([ask(engine), ask(engine), ask(engine)]);
    expect(answers).toEqual([10, 10, 10]);
    await until(() => engine.statistics("w", "d", "2").inferenceCount === 3);
  });

  it("stops serving a deleted deployment at once", async () => {
    const registry = await registryWith(10);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    registry.delete("d");
    await until(() => states(engine) === "none");
    await until(() => registry.reports.at(-1)?.deployments.length === 0);
  });

  it("holds no more versions than it may", async () => {
    const registry = await registryWith(10, 20);
    registry.deploy("d", { targets: [target(1, 60), target(2, 40)] });
    const engine = startEngine(registry, 1);
    await until(() => engine.ready());
    const { versions } = engine.deployment("w", "d");
    expect(versions.map((one) => one.state)).toEqual(["READY", "FAILED"]);
    expect(versions[1]?.reason).toContain("PLINTH_INFERENCE_LOADED_VERSIONS_MAX");
    expect(await ask(engine)).toBe(10);
  });

  it("serves on while the registry is away and catches up from where it was", async () => {
    const registry = await registryWith(10, 20);
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    registry.away = true;
    registry.breakConnections();
    await until(() => registry.watches.length >= 3);
    expect(await ask(engine)).toBe(10);
    registry.deploy("d", { targets: [target(2)] });
    registry.away = false;
    await until(() => states(engine).startsWith("r2 2 READY"));
    expect(await ask(engine)).toBe(20);
    expect(new Set(registry.watches.slice(1))).toEqual(new Set(["1"]));
  });

  it("begins with a new snapshot when its place is no longer known", async () => {
    const registry = await registryWith(10, 20);
    registry.deploy("d", { targets: [target(1)] });
    registry.deploy("gone", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    registry.away = true;
    registry.breakConnections();
    registry.delete("gone");
    registry.expireTokens();
    registry.away = false;
    await until(() => engine.deployments("w").length === 1);
    expect(registry.watches.at(-1)).toBe("");
    expect(await ask(engine)).toBe(10);
  });

  it("drains: everything asked before is answered", async () => {
    const registry = new TestRegistry();
    await registry.addVersion(1, identity("FP32", ["N", 1]));
    registry.deploy("d", { targets: [target(1)] });
    const engine = startEngine(registry);
    await until(() => engine.ready());
    const answers = Promise.all(Array.from({ length: 200 }, () => ask(engine)));
    await engine.drain();
    expect(await answers).toHaveLength(200);
  });
});
