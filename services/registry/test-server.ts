// For tests: a registry in a process of its own, to be killed. Arguments: the folder of its state.
// Prints its address.

import { join } from "node:path";
import { anonymous } from "../common/auth/principal.ts";
import { openBlobStore } from "../common/blobs/open.ts";
import { systemClock } from "../common/clock.ts";
import { parseSettings } from "../common/config.ts";
import { openDocumentStore } from "../common/documents/open.ts";
import { startRpcServer } from "../common/rpc/server.ts";
import { createRegistry } from "./app.ts";
import { registrySettings } from "./config.ts";

const folder = process.argv[2] ?? "";
const registry = await createRegistry({
  config: parseSettings(
    { PLINTH_REGISTRY_VALIDATION_LEASE: "1s", PLINTH_REGISTRY_VALIDATION_POLL: "200ms" },
    registrySettings,
  ),
  documents: await openDocumentStore(`sqlite:${join(folder, "store.db")}`),
  blobs: await openBlobStore(`file:${join(folder, "blobs")}`),
  clock: systemClock,
});
const server = await startRpcServer({
  host: "127.0.0.1",
  port: 0,
  bindings: registry.bindings,
  authenticate: () => anonymous,
});
await registry.start();
console.log(server.address);
