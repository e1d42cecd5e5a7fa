import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  FeatureStoreService,
  type GetOnlineFeaturesRequestSchema,
  type GetOnlineFeaturesResponse,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import {
  ColumnSchema as Column,
  type ColumnSchema,
} from "../../../gen/plinth/features/v1/value_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { useStore } from "../../common/documents/testing.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { DefinitionStore } from "../definitions/definition-store.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { viewOf } from "../definitions/resolve.ts";
import { applyTo, FLIGHTS, field, type Request } from "../definitions/testing.ts";
import type { Cells } from "../value.ts";
import { onlineCodecs, onlineHandlers } from "./online-handlers.ts";
import { OnlineStore, type OnlineStoreOptions } from "./online-store.ts";
import { testRows } from "./testing.ts";

const PARENT = "workspaces/w";
const HOUR_US = 3_600_000_000;

type Init = MessageInitShape<typeof GetOnlineFeaturesRequestSchema>;
type ColumnInit = MessageInitShape<typeof ColumnSchema>;

async function useServer(
  options: OnlineStoreOptions & { readonly principal?: Principal; readonly apply?: Request } = {},
) {
  const { principal = anonymous, apply = FLIGHTS, ...store } = options;
  const documents = await useStore();
  const clock = new FakeClock();
  const online = await OnlineStore.open(documents, { clock, settleMs: 0, ...store });
  const definitions = await DefinitionStore.open(documents, clock);
  await definitions.change("w", (current) => applyTo(current, apply).next);
  const handlers = onlineHandlers({ definitions, online, clock, readLog: undefined });
  const unused = () => Promise.reject(new Error("not part of this test"));
  const all = { pushFeatures: unused, streamPushFeatures: unused, ...handlers };
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [bindService(FeatureStoreService, all, onlineCodecs)],
    authenticate: () => principal,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await definitions[Symbol.asyncDispose]();
  });
  const nowUs = () => clock.now() * 1000;
  return {
    clock,
    definitions,
    nowUs,
    get: (request: Init) => {
      return createClient(FeatureStoreService, channel).getOnlineFeatures({
        parent: PARENT,
        ...request,
      });
    },
    write: async (
      view: string | ViewVersion,
      key: Cells,
      features: Record<string, Cells>,
      us: number[],
    ) => {
      const source =
        typeof view === "string"
          ? viewOf(await definitions.get("w"), { workspace: "w", view })
          : view;
      const name = source.version.joinKeys[0]!.name;
      await online.write("w", source, testRows({ [name]: key }, features, us));
    },
  };
}

/** Output to its values and statuses. */
function vectors(response: GetOnlineFeaturesResponse): Record<string, readonly unknown[]> {
  return Object.fromEntries(
    response.results.map(({ values, statuses }) => {
      const { name, nulls, ...lists } = toJson(Column, values!) as Record<string, unknown>;
      const list = Object.values(lists)[0];
      return [String(name), [list, statuses.map((status) => STATUS[status])]];
    }),
  );
}

const STATUS = ["UNSPECIFIED", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"];

const flight = (origin: string[], destination: string[], more: readonly ColumnInit[] = []) => [
  { name: "origin", strings: origin },
  { name: "destination", strings: destination },
  ...(more.length > 0
    ? more
    : [
        { name: "distance", doubles: origin.map(() => 1600) },
        { name: "departure", timestamps: origin.map(() => ({ seconds: 3_600n * 5n })) },
      ]),
];

describe("GetOnlineFeatures", () => {
  it("reads a feature service, each key by its own column, and computes", async () => {
    const { get, write, nowUs } = await useServer();
    const at = nowUs();
    await write(
      "airport_delays",
      ["ATL", "SFO", "OLD", "NEW"],
      { mean_delay: [4, 6, 8, 10], flights: [1, 2, 3, 4] },
      [at, at - 7 * 24 * HOUR_US, at - 7 * 24 * HOUR_US - 1, at + HOUR_US],
    );
    const response = await get({
      featureService: "flight_delay",
      entities: flight(["ATL", "OLD", "NONE"], ["SFO", "NEW", "ATL"]),
    });
    expect(response.featureService).toBe(`${PARENT}/featureServices/flight_delay/versions/1`);
    expect(vectors(response)).toEqual({
      origin_delay: [
        [4, 0, 0],
        ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"],
      ],
      destination_delay: [
        [6, 10, 4],
        ["PRESENT", "PRESENT", "PRESENT"],
      ],
      hours: [
        [2, 2, 2],
        ["PRESENT", "PRESENT", "PRESENT"],
      ],
      delay_per_hour: [
        [2, 0, 0],
        ["PRESENT", "NULL_VALUE", "NULL_VALUE"],
      ],
      hour: [
        ["5", "5", "5"],
        ["PRESENT", "PRESENT", "PRESENT"],
      ],
    });
    expect(response.results[0]!.values!.nulls).toEqual([1, 2]);
    const [origins, destinations] = response.views;
    expect(origins).toMatchObject({ featureView: "airport_delays", version: 1n });
    expect(origins?.entityColumns).toEqual(["origin"]);
    expect(destinations?.entityColumns).toEqual(["destination"]);
    const micros = origins?.eventTimes.map(({ seconds, nanos }) => {
      return Number(seconds) * 1e6 + nanos / 1000;
    });
    expect(micros).toEqual([at, at - 7 * 24 * HOUR_US - 1, 0]);
  });

  it("reads a list of features, with and without full names", async () => {
    const { get, write, nowUs } = await useServer();
    await write("airport_delays", ["ATL"], { mean_delay: [Number.NaN] }, [nowUs()]);
    const entities = [{ name: "airport", strings: ["ATL"] }];
    expect(vectors(await get({ features: ["airport_delays:*"], entities }))).toEqual({
      mean_delay: [["NaN"], ["PRESENT"]],
      flights: [["0"], ["NULL_VALUE"]],
    });
    const features = ["airport_delays:flights"];
    const full = await get({ features, entities, fullFeatureNames: true });
    expect(Object.keys(vectors(full))).toEqual(["airport_delays__flights"]);
    expect(full.featureService).toBe("");
  });

  it("says of a failed expression that it has no value", async () => {
    const { get } = await useServer({
      apply: {
        onDemandFeatureViews: [
          {
            name: "ratio",
            inputs: [field("a INT64"), field("b INT64")],
            features: [{ ...field("quotient INT64"), expression: "a / b" }],
          },
        ],
      },
    });
    const entities = [
      { name: "a", ints: [6n, 1n, 1n] },
      { name: "b", ints: [3n, 0n, 0n], nulls: [2] },
    ];
    expect(vectors(await get({ features: ["ratio:quotient"], entities }))).toEqual({
      quotient: [
        ["2", "0", "0"],
        ["PRESENT", "UNSPECIFIED", "NULL_VALUE"],
      ],
    });
  });

  it("lets others have their turn while it computes", async () => {
    const list = Array.from({ length: 400 }, (_, i) => i).join(", ");
    const { get } = await useServer({
      apply: {
        onDemandFeatureViews: [
          {
            name: "heavy",
            inputs: [field("a INT64")],
            features: [
              { ...field("all BOOL"), expression: `[${list}].all(x, x + a > -1)` },
              { ...field("place INT64"), expression: "a" },
            ],
          },
        ],
      },
    });
    const ints = Array.from({ length: 1000 }, (_, i) => BigInt(i));
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    const read = get({ features: ["heavy:*"], entities: [{ name: "a", ints }] });
    count();
    const { results } = await read.finally(() => {
      isDone = true;
    });
    expect(results[0]!.values!.bools).toEqual(ints.map(() => true));
    expect(results[1]!.values!.ints).toEqual(ints);
    expect(turns).toBeGreaterThan(10);
  });

  it("reads rows of other versions of the view by feature and type", async () => {
    const { get, write, nowUs, definitions } = await useServer();
    await write("airport_delays", ["OLD"], { mean_delay: [1], flights: [7] }, [nowUs()]);
    const service = { name: "first", projections: [{ featureView: "airport_delays" }] };
    await definitions.change("w", (now) => applyTo(now, { featureServices: [service] }).next);
    const features = [field("flights INT64"), field("gates INT32"), field("mean_delay DOUBLE")];
    const next = { name: "airport_delays", entities: ["airport"], features };
    await definitions.change("w", (now) => applyTo(now, { featureViews: [next] }).next);
    await write("airport_delays", ["NEW"], { mean_delay: [2], flights: [8], gates: [9] }, [
      nowUs(),
    ]);
    const entities = [{ name: "airport", strings: ["OLD", "NEW"] }];
    expect(vectors(await get({ features: ["airport_delays:*"], entities }))).toEqual({
      flights: [
        ["7", "8"],
        ["PRESENT", "PRESENT"],
      ],
      gates: [
        ["0", "9"],
        ["NULL_VALUE", "PRESENT"],
      ],
      mean_delay: [
        [1, 2],
        ["PRESENT", "PRESENT"],
      ],
    });
    // INT64 cannot be read as INT32: what was stored under the new version is hidden from the old.
    expect(vectors(await get({ featureService: "first", entities }))).toEqual({
      mean_delay: [
        [1, 2],
        ["PRESENT", "PRESENT"],
      ],
      flights: [
        ["7", "0"],
        ["PRESENT", "NULL_VALUE"],
      ],
    });
  });

  it("waits for a version that another process made, not for ever", async () => {
    const { get, write, nowUs, definitions, clock } = await useServer();
    const entities = [{ name: "airport", strings: ["ATL"] }];
    const read = () => get({ features: ["airport_delays:flights"], entities });
    const current = await definitions.get("w");
    const { version, ...view } = viewOf(current, { workspace: "w", view: "airport_delays" });
    const next = { ...view, version: { ...version, number: 2, ttlUs: 0 } };
    await write(next, ["ATL"], { flights: [3] }, [nowUs()]);
    const failing = read();
    const waiting = setInterval(() => clock.advance(500), 20);
    await expect(failing).rejects.toMatchObject({ kind: "Unavailable", reason: 19 });
    clearInterval(waiting);
    const answered = read();
    const features = [field("mean_delay DOUBLE"), field("flights INT32")];
    const known = { name: "airport_delays", entities: ["airport"], features };
    await definitions.change("w", (now) => applyTo(now, { featureViews: [known] }).next);
    expect((await answered).results[0]!.values!.ints).toEqual([3n]);
  });

  it("reads a thousand rows, and from memory what it has there", async () => {
    const { get, write, nowUs } = await useServer({ cacheEntriesMax: 500 });
    const keys = Array.from({ length: 1_000 }, (_, row) => `A${row}`);
    const at = keys.map(() => nowUs());
    await write("airport_delays", keys, { flights: keys.map((_, row) => row) }, at);
    const entities = [{ name: "airport", strings: [...keys.slice(0, 999), "A7"] }];
    for (let round = 0; round < 2; round++) {
      const response = await get({ features: ["airport_delays:flights"], entities });
      const ints = response.results[0]!.values!.ints;
      expect([ints[0], ints[998], ints[999]]).toEqual([0n, 998n, 7n]);
    }
  });

  const requests: readonly (readonly [string, Init, string])[] = [
    [
      "no column",
      { featureService: "flight_delay" },
      'entities["origin"] is missing; expected STRING',
    ],
    [
      "an unknown column",
      { features: ["airport_delays:flights"], entities: [{ name: "airports", strings: ["A"] }] },
      'entities["airports"] is not known here; entities["airport"] is missing; expected STRING. Needed are: airport STRING.',
    ],
    [
      "a number for a text",
      { features: ["airport_delays:flights"], entities: [{ name: "airport", ints: [7n] }] },
      'entities["airport"] row 0 is 7, in ints; expected STRING, in strings. Needed are: airport STRING.',
    ],
    [
      "a null key",
      {
        features: ["airport_delays:flights"],
        entities: [{ name: "airport", strings: ["A", ""], nulls: [1] }],
      },
      'entities["airport"] row 1 has no value; a join key must have one',
    ],
    [
      "a key that is too long",
      {
        features: ["airport_delays:flights"],
        entities: [{ name: "airport", strings: ["x".repeat(513)] }],
      },
      "has 513 bytes; a join key has at most 512",
    ],
    [
      "no rows",
      { features: ["airport_delays:flights"], entities: [{ name: "airport" }] },
      "entities has 0 rows; expected 1 to 1000",
    ],
    [
      "too many rows",
      {
        features: ["airport_delays:flights"],
        entities: [{ name: "airport", strings: new Array(1001).fill("A") }],
      },
      "entities has 1001 rows; expected 1 to 1000",
    ],
    [
      "a column twice",
      {
        features: ["airport_delays:flights"],
        entities: [
          { name: "airport", strings: ["A"] },
          { name: "airport", strings: ["B"] },
        ],
      },
      'entities must have different names; "airport" comes twice',
    ],
    [
      "columns of two lengths",
      {
        featureService: "flight_delay",
        entities: flight(["A", "B"], ["C"], [{ name: "distance", doubles: [1, 2] }]),
      },
      '"destination" has 1, others 2',
    ],
    [
      "neither service nor features",
      {},
      "feature_service or features must be given, one of the two; neither came",
    ],
    ["both", { featureService: "a", features: ["b:c"] }, "one of the two; both came"],
    [
      "full names of a service",
      { featureService: "flight_delay", fullFeatureNames: true },
      "full_feature_names goes with features only",
    ],
    ["a bad parent", { parent: "w" }, 'parent must look like "workspaces/{workspace}"'],
  ];

  it.each(requests)("refuses %s", async (_, request, message) => {
    const { get } = await useServer();
    const error = await get(request).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ kind: "InvalidArgument", reason: 1 });
    expect((error as Error).message).toContain(message);
  });

  it("says what there is not, and lets nobody into another workspace", async () => {
    const { get } = await useServer();
    const missing = get({ featureService: "flight_dely" });
    await expect(missing).rejects.toMatchObject({ kind: "NotFound" });
    const viewer = { id: "k", workspace: "other", roles: [Role.VIEWER] };
    const other = await useServer({ principal: viewer });
    await expect(other.get({ featureService: "flight_delay" })).rejects.toMatchObject({
      kind: "PermissionDenied",
    });
    const predictor = { id: "k", workspace: "w", roles: [Role.PREDICTOR] };
    const less = await useServer({ principal: predictor });
    await expect(less.get({ featureService: "flight_delay" })).rejects.toMatchObject({
      kind: "PermissionDenied",
    });
  });
});
