// Changing what a deployment serves, under load: no request fails, the traffic goes where the
// weights say, and shadows change nothing.

import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { ModelVersion } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { linearModel } from "../../services/registry/test-models.ts";
import { shareMesh } from "./use-mesh.ts";
import {
  type Clients,
  clientsOn,
  DEFAULT,
  firstOutput,
  pushModel,
  rowsOf,
  statisticsOf,
  untilServed,
} from "./use-models.ts";

const shared = shareMesh({}, ["registry", "inference"]);
const ROW = [1, 1, 1, 1];
/** Answers to ROW by version: the scale times 10, plus 0.5. */
const ANSWER = { one: 10.5, two: 20.5 };
let clients: Clients;
let one: ModelVersion;
let two: ModelVersion;

beforeAll(async () => {
  clients = clientsOn(shared.current.channel);
  one = await pushModel(clients, "m", linearModel());
  two = await pushModel(clients, "m", linearModel({ scale: 2 }));
});

type Weights = readonly (readonly [ModelVersion, number])[];

function targets(weights: Weights) {
  return weights.map(([{ name }, weight]) => ({ modelVersion: name, weight }));
}

async function deploy(deploymentId: string, weights: Weights): Promise<string> {
  const { name } = await clients.deployments.createDeployment({
    parent: DEFAULT,
    deploymentId,
    deployment: { config: { targets: targets(weights) } },
  });
  await untilServed(clients, name);
  return name;
}

async function change(name: string, weights: Weights): Promise<void> {
  await clients.deployments.updateDeployment({
    deployment: { name, config: { targets: targets(weights) } },
    updateMask: { paths: ["config.targets"] },
  });
  await untilServed(clients, name);
}

async function answer(deployment: string, routingKey?: string): Promise<number> {
  const parameters =
    routingKey === undefined
      ? {}
      : { routing_key: { parameterChoice: { case: "stringParam" as const, value: routingKey } } };
  const response = await clients.inference.modelInfer(rowsOf(deployment, [ROW], { parameters }));
  return firstOutput(response)[0]!;
}

/**
 * Calls of several callers and one stream, one after the other without a pause, until told to stop.
 */
function load(deployment: string) {
  const failures: unknown[] = [];
  const answers = new Set<number>();
  let count = 0;
  let stopping = false;
  const take = (value: number | undefined): void => {
    count += 1;
    answers.add(value!);
  };
  const caller = async (): Promise<void> => {
    while (!stopping) {
      await answer(deployment).then(take, (error) => failures.push(error));
    }
  };
  const streamer = async (): Promise<void> => {
    let sent = 0;
    async function* requests() {
      while (!stopping) {
        sent += 1;
        yield rowsOf(deployment, [ROW], { id: `${sent}` });
        await sleep(1);
      }
    }
    let received = 0;
    for await (const message of clients.inference.modelStreamInfer(requests())) {
      received += 1;
      expect(message.inferResponse?.id).toBe(`${received}`);
      if (message.errorMessage === "") {
        take(firstOutput(message.inferResponse)[0]);
      } else {
        failures.push(message.errorMessage);
      }
    }
    expect(received).toBe(sent);
  };
  const running = [caller(), caller(), caller(), streamer()];
  return {
    async more(): Promise<void> {
      const enough = count + 50;
      await expect.poll(() => count, { timeout: 10_000 }).toBeGreaterThan(enough);
    },
    async stop() {
      stopping = true;
      await Promise.all(running);
      return { failures, answers, count };
    },
  };
}

describe("a deployment under load", () => {
  it("loses no request while its versions come, share, go and come back", async () => {
    const name = await deploy("moving", [[one, 100]]);
    const traffic = load("moving");
    await traffic.more();
    await change(name, [
      [one, 50],
      [two, 50],
    ]);
    await traffic.more();
    await change(name, [[two, 100]]);
    await traffic.more();
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => answer("moving"))))).toEqual(
      new Set([ANSWER.two]),
    );
    const { history } = await clients.deployments.getDeployment({ name });
    await clients.deployments.rollbackDeployment({ name, revision: history.at(-1)!.revision });
    await untilServed(clients, name);
    await traffic.more();
    const { failures, answers, count } = await traffic.stop();
    expect(failures).toEqual([]);
    expect(answers).toEqual(new Set([ANSWER.one, ANSWER.two]));
    expect(count).toBeGreaterThan(200);
  });

  it("goes back to what it was by rollback", async () => {
    const name = await deploy("returning", [[one, 100]]);
    await change(name, [[two, 100]]);
    expect(await answer("returning")).toBe(ANSWER.two);
    await clients.deployments.rollbackDeployment({ name });
    const after = await untilServed(clients, name);
    expect(after.config?.targets).toMatchObject([{ modelVersion: one.name, weight: 100 }]);
    expect(await answer("returning")).toBe(ANSWER.one);
  });

  it("is NOT_FOUND once deleted, and other deployments serve on", async () => {
    const stays = await deploy("staying", [[one, 100]]);
    const name = await deploy("leaving", [[one, 100]]);
    const traffic = load("staying");
    await traffic.more();
    await clients.deployments.deleteDeployment({ name });
    await expect
      .poll(() => answer("leaving").catch(({ kind }) => kind), { timeout: 5000 })
      .toBe("NotFound");
    await traffic.more();
    expect((await traffic.stop()).failures).toEqual([]);
    await untilServed(clients, stays);
  });
});

describe("traffic weights", () => {
  it("are honoured", async () => {
    await deploy("weighted", [
      [one, 80],
      [two, 20],
    ]);
    const count = 1000;
    const answers = await Promise.all(Array.from({ length: count }, () => answer("weighted")));
    const share = answers.filter((value) => value === ANSWER.two).length / count;
    // Five standard deviations of a binomial share: one run in two million fails by chance.
    expect(Math.abs(share - 0.2)).toBeLessThan(5 * Math.sqrt((0.2 * 0.8) / count));
  });

  it("send a routing key always to one version, and keys by the weights", async () => {
    await deploy("keyed", [
      [one, 50],
      [two, 50],
    ]);
    const keys = Array.from({ length: 200 }, (_, index) => `customer-${index}`);
    const ask = () => Promise.all(keys.map((key) => answer("keyed", key)));
    const first = await ask();
    expect(await ask()).toEqual(first);
    expect(await ask()).toEqual(first);
    const share = first.filter((value) => value === ANSWER.two).length / keys.length;
    expect(share).toBeGreaterThan(0.3);
    expect(share).toBeLessThan(0.7);
  });

  it("give way to a version that is asked for", async () => {
    await deploy("asked", [
      [one, 1],
      [two, 99],
    ]);
    for (const [version, wanted] of [
      ["1", ANSWER.one],
      ["2", ANSWER.two],
    ] as const) {
      const request = rowsOf("asked", [ROW], { modelVersion: version });
      const response = await clients.inference.modelInfer(request);
      expect(firstOutput(response)).toEqual([wanted]);
      expect(response.modelVersion).toBe(version);
    }
    const other = rowsOf("asked", [ROW], { modelVersion: "3" });
    await expect(clients.inference.modelInfer(other)).rejects.toMatchObject({ kind: "NotFound" });
  });
});

describe("a shadow", () => {
  it("gets a copy of the traffic and changes no answer", async () => {
    const { name } = await clients.deployments.createDeployment({
      parent: DEFAULT,
      deploymentId: "shadowed",
      deployment: {
        config: {
          targets: targets([[one, 100]]),
          shadows: [{ modelVersion: two.name, sampleRate: 1 }],
        },
      },
    });
    await untilServed(clients, name);
    const answers = await Promise.all(Array.from({ length: 50 }, () => answer("shadowed")));
    expect(new Set(answers)).toEqual(new Set([ANSWER.one]));
    const copies = async () => {
      const { modelStats } = await clients.inference.modelStatistics({ name: "shadowed" });
      return Number(modelStats.find(({ version }) => version === "2")?.inferenceCount ?? 0);
    };
    await expect.poll(copies, { timeout: 5000 }).toBe(50);
  });
});

it("statistics count every request once", async () => {
  await deploy("counted", [[one, 100]]);
  await Promise.all(Array.from({ length: 30 }, () => answer("counted")));
  const { inferenceCount, inferenceStats } = await statisticsOf(clients, "counted");
  expect(inferenceCount).toBe(30n);
  expect(inferenceStats?.success?.count).toBe(30n);
});
