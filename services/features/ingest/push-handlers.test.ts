import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  BadRows,
  FeatureStoreService,
  type PushFeaturesRequestSchema,
  PushTarget,
  StreamPushFeaturesRequestSchema,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { systemClock } from "../../common/clock.ts";
import {
  InvalidArgument,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
} from "../../common/errors/domain-error.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService, type CallContext, type Client } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { timestampOf } from "../columns.ts";
import { entityKey } from "../online/entity-key.ts";
import { pushHandlers } from "./push-handlers.ts";
import { airportView, openPushParts, type PushParts, VIEW_NAME } from "./testing.ts";

type Request = MessageInitShape<typeof PushFeaturesRequestSchema>;

const T = 1_700_000_000_000_000;
const HISTORY = { uid: "uid-airports", workspace: "default", view: "airports" };

interface TestPushes {
  readonly parts: PushParts;
  readonly client: Client<typeof FeatureStoreService>;
}

/** The push calls behind a real server. */
async function usePushes(
  given: Parameters<typeof openPushParts>[1] & { readonly roles?: readonly Role[] } = {},
): Promise<TestPushes> {
  const parts = await openPushParts(useFolder(), given);
  const handlers = pushHandlers({ ...parts, clock: systemClock });
  const principal = { ...anonymous, roles: given.roles ?? anonymous.roles, workspace: "default" };
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [
      bindService(FeatureStoreService, {
        ...handlers,
        getOnlineFeatures: () => Promise.reject(new Error("not served here")),
      }),
    ],
    authenticate: () => principal,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await parts[Symbol.asyncDispose]();
  });
  return { parts, client: createClient(FeatureStoreService, channel) };
}

function rowsOf(
  rows: readonly (readonly [airport: string | null, us: number, delay: number])[],
  more: Request = {},
): Request {
  const nulls = rows.flatMap(([airport], row) => (airport === null ? [row] : []));
  return {
    featureView: VIEW_NAME,
    columns: [
      { name: "airport", strings: rows.map(([airport]) => airport ?? ""), nulls },
      { name: "event_timestamp", timestamps: rows.map(([, us]) => timestampOf(us)) },
      { name: "delay", doubles: rows.map(([, , delay]) => delay) },
    ],
    ...more,
  };
}

async function online(parts: PushParts, airport: string) {
  const id = entityKey("default", [{ joinKey: "airport", type: "STRING", cell: airport }]);
  const [document] = await parts.online.read([id]);
  return document?.views["uid-airports"];
}

async function failure(
  call: Promise<unknown>,
): Promise<Error & { metadata: Record<string, string> }> {
  return call.then(
    () => {
      throw new Error("it did not fail");
    },
    (error) => error,
  );
}

async function* stream(...batches: readonly Request[]) {
  for (const batch of batches) yield create(StreamPushFeaturesRequestSchema, { batch });
}

describe("push-handlers", () => {
  it("stores rows online and offline", async () => {
    const { parts, client } = await usePushes();
    const answer = await client.pushFeatures(
      rowsOf([
        ["ATL", T, 1],
        ["SFO", T, 2],
      ]),
    );
    expect(answer).toMatchObject({ rowsWritten: 2n, rowsRefused: 0n, refusals: [] });
    expect((await online(parts, "SFO"))?.v).toEqual([2, null, null, null]);
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 2 });
  });

  it("stores where the target says, and refuses one that the view does not have", async () => {
    const { parts, client } = await usePushes();
    await client.pushFeatures(rowsOf([["ATL", T, 1]], { target: PushTarget.OFFLINE }));
    expect(await online(parts, "ATL")).toBeUndefined();
    await client.pushFeatures(rowsOf([["SFO", T, 1]], { target: PushTarget.ONLINE }));
    expect(await online(parts, "SFO")).toBeDefined();
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 1 });
    const other = await usePushes({ view: airportView({ online: false }) });
    const call = other.client.pushFeatures(rowsOf([["ATL", T, 1]], { target: PushTarget.ONLINE }));
    await expect(call).rejects.toThrow(
      'target is online, but view "airports" keeps rows offline only',
    );
    const newer = client.pushFeatures(rowsOf([["ATL", T, 1]], { badRows: 9 as BadRows }));
    await expect(newer).rejects.toThrow("bad_rows is 9, which this server does not know");
    await other.client.pushFeatures(rowsOf([["ATL", T, 1]]));
    expect(await online(other.parts, "ATL")).toBeUndefined();
  });

  it("stores nothing of a batch with bad rows unless they are to be skipped", async () => {
    const { parts, client } = await usePushes();
    const rows = [
      ["ATL", T, 1],
      [null, T, 2],
      ["SFO", T, 3],
    ] as const;
    await expect(client.pushFeatures(rowsOf(rows))).rejects.toThrow(InvalidArgument);
    expect(await online(parts, "ATL")).toBeUndefined();
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 0 });
    const answer = await client.pushFeatures(rowsOf(rows, { badRows: BadRows.SKIP }));
    expect(answer).toMatchObject({
      rowsWritten: 2n,
      rowsRefused: 1n,
      refusals: [{ row: 1n, column: "airport", reason: "has no value; a join key must have one" }],
    });
    expect((await online(parts, "SFO"))?.v[0]).toBe(3);
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 2 });
  });

  it("changes nothing when a batch id comes again, also at the same time", async () => {
    const { parts, client } = await usePushes();
    const request = rowsOf([["ATL", T, 1]], { batchId: "b1" });
    const answers = await Promise.all([1, 2, 3, 4].map(() => client.pushFeatures(request)));
    expect(answers.map(({ rowsWritten }) => rowsWritten)).toEqual([1n, 1n, 1n, 1n]);
    const first = await online(parts, "ATL");
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 1, snapshot: 1 });
    await client.pushFeatures(request);
    expect(await online(parts, "ATL")).toEqual(first);
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 1, snapshot: 1 });
    const other = rowsOf([["ATL", T, 2]], { batchId: "b1" });
    await expect(client.pushFeatures(other)).rejects.toThrow(
      /batch_id "b1" was used within 24 hours/,
    );
    const long = rowsOf([["ATL", T, 2]], { batchId: "x".repeat(65) });
    await expect(client.pushFeatures(long)).rejects.toThrow(
      "batch_id has 65 characters; at most 64",
    );
  });

  it("takes the later push where key and event time are the same", async () => {
    const { parts, client } = await usePushes();
    for (let delay = 0; delay < 20; delay++) {
      await client.pushFeatures(rowsOf([["ATL", T, delay]]));
    }
    expect((await online(parts, "ATL"))?.v[0]).toBe(19);
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 20 });
  });

  it("refuses views that are not there and workspaces that are not the caller's", async () => {
    const { client } = await usePushes();
    const wrong = { featureView: "workspaces/default/featureViews/airport" };
    await expect(client.pushFeatures(rowsOf([["ATL", T, 1]], wrong))).rejects.toThrow(
      /Did you mean "airports"/,
    );
    expect(await failure(client.pushFeatures(wrong))).toBeInstanceOf(NotFound);
    const foreign = { featureView: "workspaces/other/featureViews/airports" };
    expect(await failure(client.pushFeatures(foreign))).toBeInstanceOf(PermissionDenied);
    const viewer = await usePushes({ roles: [Role.VIEWER] });
    const call = viewer.client.pushFeatures(rowsOf([["ATL", T, 1]]));
    expect(await failure(call)).toBeInstanceOf(PermissionDenied);
  });

  it("refuses pushes while too many rows wait in the log", async () => {
    const { client, parts } = await usePushes({ config: { pendingRowsMax: 3 } });
    await client.pushFeatures(
      rowsOf([
        ["ATL", T, 1],
        ["SFO", T, 1],
      ]),
    );
    const error = await failure(
      client.pushFeatures(
        rowsOf([
          ["JFK", T, 1],
          ["LAX", T, 1],
        ]),
      ),
    );
    expect(error).toBeInstanceOf(ResourceExhausted);
    expect(error.message).toMatch(/2 rows of "airports" in 1 batches wait/);
    expect(await online(parts, "JFK")).toBeUndefined();
    await parts.offline.flush(HISTORY);
    await client.pushFeatures(
      rowsOf([
        ["JFK", T, 1],
        ["LAX", T, 1],
      ]),
    );
  });

  it("stores a stream of batches and tells the first refusals", async () => {
    const { parts, client } = await usePushes();
    const batches = Array.from({ length: 60 }, (_, n) =>
      rowsOf(
        [
          [`A${n}`, T, n],
          [null, T, n],
          [null, T, n],
        ],
        { badRows: BadRows.SKIP },
      ),
    );
    const answer = await client.streamPushFeatures(stream(...batches));
    expect(answer).toMatchObject({ batches: 60n, rowsWritten: 60n, rowsRefused: 120n });
    expect(answer.refusals).toHaveLength(100);
    expect(answer.refusals.map(({ batch }) => Number(batch))).toEqual(
      Array.from({ length: 100 }, (_, n) => n >> 1),
    );
    expect(answer.refusals[1]?.refusal).toMatchObject({ row: 2n, column: "airport" });
    expect(await parts.offline.read(HISTORY)).toMatchObject({ rows: 60 });
    expect(await client.streamPushFeatures(stream())).toMatchObject({ batches: 0n });
  });

  it("ends a stream at the first bad batch and says how many before it are stored", async () => {
    const { parts, client } = await usePushes();
    let sent = 0;
    const endless = async function* () {
      for (;;) {
        const n = sent++;
        const batch = rowsOf([[n === 20 ? null : `A${n}`, T, n]]);
        yield create(StreamPushFeaturesRequestSchema, { batch });
      }
    };
    const handlers = pushHandlers({ ...parts, clock: systemClock });
    const context = { principal: anonymous } as CallContext;
    const error = await failure(handlers.streamPushFeatures(endless(), context));
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.message).toMatch(
      /^Batch 20 \(from 0\): Nothing was stored: 1 of 1 rows are bad: .* The 20 batches before it are stored\.$/,
    );
    expect(error.metadata).toMatchObject({ batch: "20", batches_stored: "20" });
    for (let n = 0; n < 20; n++) expect(await online(parts, `A${n}`)).toBeDefined();
    const { rows } = await parts.offline.read(HISTORY);
    expect(rows).toBeGreaterThanOrEqual(20);
    expect(rows).toBeLessThan(30);
    // At most eight are under way.
    expect(sent).toBeLessThan(30);
    const empty = create(StreamPushFeaturesRequestSchema, {});
    const none = client.streamPushFeatures(
      (async function* () {
        yield empty;
      })(),
    );
    await expect(none).rejects.toThrow(/^Batch 0 \(from 0\): batch must be set/);
  });
});
