import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it, onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  LabelOutcome,
  MonitoringService,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { GroundTruthSchema } from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { InvalidArgument, NotFound, PermissionDenied } from "../../common/errors/domain-error.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import type { Target } from "../target.ts";
import { performanceHandlers } from "./performance-handlers.ts";
import {
  batchOf,
  DEPLOYMENT,
  HOUR_US,
  measuredTarget,
  START_US,
  usePredictions,
} from "./testing.ts";

type Label = MessageInitShape<typeof GroundTruthSchema>;

const { JOINED, WAITING, REPLACED, NO_SUCH_ROW } = LabelOutcome;

/** The handlers on a real server; version 2 is a shadow that was seen last. */
async function useServer(options: { readonly principal?: Principal } = {}) {
  const used = await usePredictions();
  const targets = [1, 2].map((version): Target => {
    return {
      ...measuredTarget(version),
      shadow: version === 2,
      featureService: "",
      firstSeen: new Date(START_US / 1000),
      lastSeen: new Date(START_US / 1000 + version),
      newestEventUs: START_US,
      newestSeenMs: START_US / 1000,
    };
  });
  const handlers = performanceHandlers({
    predictions: used.predictions,
    windows: {
      targets: async () => targets,
      newestClosed: async () => undefined,
      list: async () => [],
    },
  });
  const unused = () => Promise.reject(new Error("not part of this test"));
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [
      bindService(MonitoringService, {
        getMonitor: unused,
        updateMonitor: unused,
        getBaseline: unused,
        uploadBaseline: unused,
        listWindows: unused,
        getDriftReport: unused,
        // biome-ignore lint/correctness/useYield: nothing is watched here.
        watchMetrics: async function* () {
          await unused();
        },
        ...handlers,
      }),
    ],
    authenticate: () => options.principal ?? anonymous,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const client = createClient(MonitoringService, channel);
  const record = async (labels: readonly Label[]) => {
    const { outcomes } = await client.recordGroundTruth({
      deployment: DEPLOYMENT,
      labels: [...labels],
    });
    return outcomes;
  };
  return { ...used, client, record };
}

function byId(id: string, label: string, row = 0): Label {
  return { key: { case: "inferenceId", value: id }, row, value: { case: "label", value: label } };
}

function byEntity(joinKeys: Record<string, string>, number: number): Label {
  return {
    key: { case: "entity", value: { joinKeys } },
    value: { case: "number", value: number },
    eventTime: timestampFromMs(START_US / 1000 + 5),
  };
}

/** The fields that a call was refused for. */
async function refused(call: Promise<unknown>): Promise<readonly string[]> {
  const error = await call.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(InvalidArgument);
  return (error as InvalidArgument).violations.map(({ field }) => field);
}

const BATCH = {
  inferences: [
    { id: "a", rows: [0.9, 0.1] },
    { id: "b", rows: [0.2] },
  ],
  keys: { user: ["u", "v", "w"] },
};

describe("RecordGroundTruth", () => {
  it("says what became of each label", async () => {
    const { predictions, record } = await useServer();
    expect(await record([byId("a", "yes")])).toEqual([WAITING]);
    await predictions.keep(batchOf(BATCH));
    const labels = [byId("a", "yes"), byId("b", "yes"), byId("b", "no"), byId("b", "no", 1)];
    expect(await record(labels)).toEqual([JOINED, JOINED, REPLACED, NO_SUCH_ROW]);
    expect(await record([byId("a", "no")])).toEqual([REPLACED]);
  });

  it("names every fault by its place, and stores nothing", async () => {
    const { predictions, record } = await useServer();
    await predictions.keep(batchOf(BATCH));
    const huge = "x".repeat(2 ** 20);
    const fields = await refused(
      record([
        byId("a", "yes"),
        byId("", "yes"),
        byId(huge, "yes"),
        { key: { case: "inferenceId", value: "a" } },
        { value: { case: "label", value: "yes" } },
        { ...byEntity({ user: "u" }, 1), value: { case: "number", value: Number.NaN } },
        { ...byEntity({ user: "u" }, 1), value: { case: "number", value: 7 } },
        byId("a", huge),
        { key: { case: "entity", value: {} }, value: { case: "label", value: "yes" } },
        byEntity({ user: huge }, 1),
      ]),
    );
    expect(fields).toEqual([
      "labels[1].inference_id",
      "labels[2].inference_id",
      "labels[3].label",
      "labels[4].inference_id",
      "labels[5].number",
      "labels[6].number",
      "labels[7].label",
      "labels[8].entity.join_keys",
      "labels[8].event_time",
      'labels[9].entity.join_keys["user"]',
      "labels[9].number",
    ]);
    const { overall } = await predictions.performanceOf(measuredTarget(), {});
    expect(overall?.labelled).toBe(0n);
  });

  it("takes a number for a class by its text, and a text for a number", async () => {
    const { predictions, record } = await useServer();
    const numbered = batchOf({ inferences: [{ id: "a", rows: [0.9] }] });
    const columns = new Map([...numbered.columns].filter(([name]) => name === "prediction.label"));
    columns.set("prediction.label", { kind: "numeric", values: Float64Array.of(1) });
    await predictions.keep({ ...numbered, classLabels: ["0", "1"], columns });
    const one: Label = { ...byId("a", ""), value: { case: "number", value: 1 } };
    expect(await record([one])).toEqual([JOINED]);
    const two = { ...one, value: { case: "number", value: 2 } } as const;
    const error = await record([two]).catch((reason: unknown) => reason);
    expect((error as Error).message).toContain('but the deployment predicts one of "0", "1"');
  });

  it("refuses texts for a regression, but not those that are numbers", async () => {
    const { predictions, record } = await useServer();
    await predictions.keep(batchOf({ inferences: [{ id: "a", rows: [3] }], numbers: true }));
    expect(await refused(record([byId("a", "cat")]))).toEqual(["labels[0].label"]);
    expect(await record([byId("a", "3.5")])).toEqual([JOINED]);
  });

  it("takes 10,000 labels at once, and not one more", async () => {
    const { record } = await useServer();
    const labels = Array.from({ length: 10_001 }, (_, at) => byId(`i${at}`, "yes"));
    expect(await refused(record(labels))).toEqual(["labels"]);
    expect(await refused(record([]))).toEqual(["labels"]);
    const outcomes = await record(labels.slice(1));
    expect(outcomes).toHaveLength(10_000);
    expect(new Set(outcomes)).toEqual(new Set([WAITING]));
  });

  it("is for deployments of the caller's workspace", async () => {
    const principal = { id: "k", workspace: "other", roles: [Role.ADMIN] };
    const { client, record } = await useServer({ principal });
    await expect(record([byId("a", "yes")])).rejects.toBeInstanceOf(PermissionDenied);
    const parent = "workspaces/w";
    await expect(
      client.erasePredictions({ parent, entities: [{ joinKeys: { user: "u" } }] }),
    ).rejects.toBeInstanceOf(PermissionDenied);
    await expect(client.getPerformance({ deployment: DEPLOYMENT })).rejects.toBeInstanceOf(
      PermissionDenied,
    );
    expect(await refused(client.recordGroundTruth({ deployment: "d" }))).toEqual(["deployment"]);
  });
});

describe("StreamGroundTruth", () => {
  it("answers each message, in order, while the stream goes on", async () => {
    const { client, predictions } = await useServer();
    await predictions.keep(batchOf(BATCH));
    const answered = Promise.withResolvers<void>();
    async function* requests() {
      yield { request: { deployment: DEPLOYMENT, labels: [byId("a", "yes")] } };
      await answered.promise;
      for (let at = 0; at < 40; at++) {
        const label = at % 2 === 0 ? "no" : "yes";
        yield { request: { deployment: DEPLOYMENT, labels: [byId(`i${at}`, label)] } };
      }
      yield { request: { deployment: DEPLOYMENT, labels: [byId("a", "yes"), byId("b", "no")] } };
    }
    const outcomes: LabelOutcome[][] = [];
    for await (const { response } of client.streamGroundTruth(requests())) {
      outcomes.push(response?.outcomes ?? []);
      answered.resolve();
    }
    expect(outcomes).toHaveLength(42);
    expect(outcomes[0]).toEqual([JOINED]);
    expect(outcomes.at(-1)).toEqual([JOINED, JOINED]);
    expect(outcomes[20]).toEqual([WAITING]);
  });

  it("ends with the fault of a message after the answers before it", async () => {
    const { client } = await useServer();
    async function* requests() {
      yield { request: { deployment: DEPLOYMENT, labels: [byId("a", "yes")] } };
      yield { request: { deployment: DEPLOYMENT, labels: [byId("", "yes")] } };
      await new Promise(() => {});
    }
    const answers: unknown[] = [];
    const read = async () => {
      for await (const answer of client.streamGroundTruth(requests())) {
        answers.push(answer);
      }
    };
    expect(await refused(read())).toEqual(["labels[0].inference_id"]);
    expect(answers).toHaveLength(1);
    expect(await refused(drain(client.streamGroundTruth(once({}))))).toEqual(["deployment"]);
  });
});

async function* once<T>(item: T): AsyncGenerator<T> {
  yield item;
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items) {
    // Only the end matters.
  }
}

describe("GetPerformance", () => {
  it("is of the version that answered last, or of the one that is named", async () => {
    const { client, predictions } = await useServer();
    await predictions.keep(batchOf(BATCH));
    await predictions.keep(batchOf({ ...BATCH, version: 2, shadow: true, sequence: 2 }));
    const deployment = DEPLOYMENT;
    const live = await client.getPerformance({ deployment });
    expect(live.modelVersion).toBe("workspaces/w/models/m/versions/1");
    expect(live.overall?.predictions).toBe(3n);
    for (const modelVersion of ["2", "workspaces/w/models/m/versions/2"]) {
      const shadow = await client.getPerformance({ deployment, modelVersion });
      expect(shadow.modelVersion).toBe("workspaces/w/models/m/versions/2");
    }
    await expect(client.getPerformance({ deployment, modelVersion: "3" })).rejects.toBeInstanceOf(
      NotFound,
    );
    const fields = refused(client.getPerformance({ deployment, modelVersion: "x" }));
    expect(await fields).toEqual(["model_version"]);
  });

  it("is of a range, widened to whole windows", async () => {
    const { client, predictions } = await useServer();
    const inferences = [-1, 0].map((hour) => ({ rows: [0.9], eventUs: START_US + hour * HOUR_US }));
    await predictions.keep(batchOf({ inferences }));
    const at = (us: number) => timestampFromMs(us / 1000);
    const range = { startTime: at(START_US + 1000), endTime: at(START_US + 2000) };
    const report = await client.getPerformance({ deployment: DEPLOYMENT, range });
    expect(report.overall?.predictions).toBe(1n);
    expect(report.range).toMatchObject({
      startTime: at(START_US),
      endTime: at(START_US + HOUR_US),
    });
    const upside = { startTime: range.endTime, endTime: range.startTime };
    const wrong = client.getPerformance({ deployment: DEPLOYMENT, range: upside });
    expect(await refused(wrong)).toEqual(["range.end_time"]);
    const none = await client.getPerformance({
      deployment: DEPLOYMENT,
      range: { startTime: at(START_US + 5 * HOUR_US) },
    });
    expect(none.overall).toBeUndefined();
  });
});

describe("ErasePredictions", () => {
  it("counts, then erases", async () => {
    const { client, predictions, record } = await useServer();
    await predictions.keep(batchOf(BATCH));
    await record([byId("a", "yes")]);
    const call = { parent: "workspaces/w", entities: [{ joinKeys: { user: "u" } }] };
    const counts = { predictions: 1n, labels: 1n };
    expect(await client.erasePredictions({ ...call, dryRun: true })).toMatchObject(counts);
    expect(await client.erasePredictions(call)).toMatchObject(counts);
    expect(await client.erasePredictions(call)).toMatchObject({ predictions: 0n, labels: 0n });
  });

  it("refuses what names no entity", async () => {
    const { client } = await useServer();
    const parent = "workspaces/w";
    expect(await refused(client.erasePredictions({ parent }))).toEqual(["entities"]);
    const entities = [{ joinKeys: { user: "u" } }, {}, { joinKeys: { user: "" } }];
    expect(await refused(client.erasePredictions({ parent, entities }))).toEqual([
      "entities[1].join_keys",
      'entities[2].join_keys["user"]',
    ]);
    const many = Array.from({ length: 1001 }, () => ({ joinKeys: { user: "u" } }));
    expect(await refused(client.erasePredictions({ parent, entities: many }))).toEqual([
      "entities",
    ]);
  });
});
