import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import { startMongo } from "../../../test/mongo-server.ts";
import { openDocumentStore } from "../../common/documents/open.ts";
import { onlineStoreContract } from "./online-store-contract.ts";

const server = await startMongo();

afterAll(async () => {
  await server?.stop();
});

onlineStoreContract("SQLite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "plinth-online-"));
  const uri = `sqlite:${join(folder, "store.db")}`;
  return {
    uri,
    open: () => openDocumentStore(uri),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
});

if (server === undefined) {
  describe("online store on MongoDB", () => {
    it.skip("no mongod or ferretdb here: run scripts/ci-mongo.sh to get one", () => {});
  });
} else {
  onlineStoreContract(server.kind, async () => {
    const uri = `${server.uri}t${randomUUID().replaceAll("-", "").slice(0, 20)}`;
    // What is in it goes with the server.
    return {
      // Writes of several processes to one document are not atomic in FerretDB 1.
      uri: server.kind === "FerretDB" ? undefined : uri,
      open: () => openDocumentStore(uri),
      [Symbol.asyncDispose]: async () => {},
    };
  });
}
