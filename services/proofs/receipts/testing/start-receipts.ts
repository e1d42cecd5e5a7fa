// For tests and the bench: the receipts part of the proofs service by itself, on a real store and a
// real RPC server, in a folder.

import { join } from "node:path";
import { Role } from "../../../../gen/plinth/common/v1/options_pb.js";
import { ReceiptService } from "../../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import type { Principal } from "../../../common/auth/principal.ts";
import { systemClock } from "../../../common/clock.ts";
import { type ConfigOf, parseSettings } from "../../../common/config.ts";
import type { DocumentStore } from "../../../common/documents/port.ts";
import { openSqliteStore } from "../../../common/documents/sqlite.ts";
import { bindService } from "../../../common/rpc/context.ts";
import { startRpcServer } from "../../../common/rpc/server.ts";
import { createLogger } from "../../../common/telemetry/log.ts";
import { proofsSettings } from "../../config.ts";
import { createEvents } from "../../events.ts";
import { receiptCodecs, receiptHandlers } from "../receipt-handlers.ts";
import { ReceiptLogs } from "../receipt-logs.ts";

/** Who calls where nothing else is said. */
export const SERVICE: Principal = { id: "services/test", workspace: "-", roles: [Role.SERVICE] };

export interface StartReceiptsOptions {
  /** Holds the store and the keys. */
  readonly folder: string;
  /** Absent: the store of the folder, which is closed in the end. */
  readonly documents?: DocumentStore;
  readonly config?: Partial<ConfigOf<typeof proofsSettings>>;
  readonly port?: number;
  readonly principal?: () => Principal;
}

export interface StartedReceipts extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly logs: ReceiptLogs;
  readonly documents: DocumentStore;
}

/** Starts it on a free port. */
export async function startReceipts(options: StartReceiptsOptions): Promise<StartedReceipts> {
  const { folder, principal = () => SERVICE, port = 0 } = options;
  const config = { ...parseSettings({}, proofsSettings), receiptFlushMs: 5, ...options.config };
  await using stack = new AsyncDisposableStack();
  const documents =
    options.documents ?? stack.use(await openSqliteStore({ path: join(folder, "store.db") }));
  const keyFolder = join(folder, "receipt-keys");
  const logs = stack.use(
    await ReceiptLogs.open({ documents, keyFolder, config, clock: systemClock }),
  );
  const events = createEvents(createLogger({ service: "proofs", level: "warn" }));
  const server = stack.use(
    await startRpcServer({
      host: "127.0.0.1",
      port,
      authenticate: principal,
      bindings: [bindService(ReceiptService, receiptHandlers({ logs, events }), receiptCodecs)],
    }),
  );
  const owned = stack.move();
  return {
    address: server.address,
    port: server.port,
    logs,
    documents,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
