// The mesh on a server that speaks the MongoDB protocol: everything works on it, and while the
// server is away what is loaded is served on.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.js";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import {
  CreateRegisteredModelRequestSchema,
  ListRegisteredModelsRequestSchema,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import { Channel } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { type MongoServer, startMongo } from "../mongo-server.ts";
import { call, framed, useConnection } from "./raw-call.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { useMesh } from "./use-mesh.ts";
import { clientsOn, DEFAULT, firstOutput, pushModel, rowsOf, serveModel } from "./use-models.ts";

/** How long a call to the registry may take to find that the store is away. */
const AWAY_WITHIN_MS = 5000;

const OUTAGE_MS = 6000;

let mongo: MongoServer | undefined;

beforeAll(async () => {
  mongo = await startMongo();
});

afterAll(async () => {
  await mongo?.stop();
});

function storeUri(): string {
  return `${mongo?.uri}plinth_${randomUUID().slice(0, 8)}`;
}

describe("a mesh on MongoDB", () => {
  it("serves the examples, and again after a restart", async (context) => {
    context.skip(mongo === undefined, "needs a server that speaks the MongoDB protocol");
    const args = ["--store", storeUri()];
    const dataDir = useFolder();
    const mesh = await useChildMesh({ dataDir, args, examples: true });
    const predict = async (channel: typeof mesh.channel) => {
      const row = {
        hour: 12,
        day_of_week: 2,
        distance: 2079,
        origin: "DTW",
        destination: "SFO",
      };
      const { predictions } = await clientsOn(channel).predictions.predict({
        deployment: "flights",
        rows: [row],
      });
      return predictions[0]?.outputs;
    };
    const first = await predict(mesh.channel);
    expect(first).toBeDefined();
    expect(await mesh.stop()).toBe(0);
    const again = await useChildMesh({ dataDir, args });
    expect(await predict(again.channel)).toEqual(first);
  }, 60_000);

  it("serves on while the store is away, and works again when it is back", async (context) => {
    context.skip(mongo?.kill === undefined, "needs a MongoDB server of its own to kill");
    const { channel, grpcAddress } = await useMesh({ PLINTH_STORE: storeUri() });
    const { secret } = await clientsOn(channel).keys.createApiKey({
      parent: "workspaces/-",
      apiKey: { displayName: "root", roles: [Role.ADMIN] },
    });
    using withKey = new Channel({ address: grpcAddress, token: secret });
    const clients = clientsOn(withKey);
    await serveModel(clients, "linear", linearModel());
    const infer = async () =>
      firstOutput(await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]])));
    expect(await infer()).toEqual([10.5]);

    await mongo!.kill!();
    // Asked by hand: a client of ours would try again and hear the same later.
    const session = await useConnection(grpcAddress);
    const parent = create(ListRegisteredModelsRequestSchema, { parent: DEFAULT });
    const made = create(CreateRegisteredModelRequestSchema, { parent: DEFAULT, modelId: "later" });
    const asked = [
      ["ListRegisteredModels", toBinary(ListRegisteredModelsRequestSchema, parent)],
      ["CreateRegisteredModel", toBinary(CreateRegisteredModelRequestSchema, made)],
    ] as const;
    for (const [method, bytes] of asked) {
      const startMs = performance.now();
      const path = `/plinth.registry.v1.ModelService/${method}`;
      const headers = { authorization: `Bearer ${secret}` };
      const answer = await call(session, framed(bytes), { path, headers });
      expect(answer).toMatchObject({
        code: Code.UNAVAILABLE,
        reason: "DEPENDENCY_UNAVAILABLE",
        retryInfo: true,
      });
      expect(performance.now() - startMs).toBeLessThan(AWAY_WITHIN_MS);
    }
    // Longer than what is known of the key counts without asking the store again.
    const untilMs = Date.now() + OUTAGE_MS;
    while (Date.now() < untilMs) {
      expect(await infer()).toEqual([10.5]);
      await sleep(50);
    }

    await mongo!.restart!();
    // The first writes may still meet a connection that died with the old server.
    const push = () =>
      pushModel(clients, "after", linearModel({ scale: 2 })).then(
        ({ name }) => name,
        ({ kind }) => kind,
      );
    await expect.poll(push, { timeout: 20_000 }).toContain("models/after/versions/");
    await serveModel(clients, "again", linearModel({ scale: 3 }));
    const answer = await clients.inference.modelInfer(rowsOf("again", [[1, 1, 1, 1]]));
    expect(firstOutput(answer)).toEqual([30.5]);
    expect(await infer()).toEqual([10.5]);
  }, 60_000);
});
