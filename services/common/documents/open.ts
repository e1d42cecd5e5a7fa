// From a URI in a configuration to a document store.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../clock.ts";
import { InvalidArgument } from "../errors/domain-error.ts";
import type { DocumentStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

export interface OpenDocumentStoreOptions {
  readonly clock?: Clock;
  /** Changes a feed keeps at least; absent: 10,000. */
  readonly feedRetention?: number;
}

/**
 * Opens the store that a URI names: "sqlite:<path>", "sqlite::memory:", "mongodb://..." or
 * "mongodb+srv://..." (with the database's name as its path, "plinth" when there is none).
 * @throws InvalidArgument for any other URI; Unavailable when the database cannot be reached.
 */
export async function openDocumentStore(
  uri: string,
  options: OpenDocumentStoreOptions = {},
): Promise<DocumentStore> {
  const path = uri.startsWith("sqlite:") ? uri.slice("sqlite:".length) : "";
  if (path !== "") return openSqliteStore({ path, ...options });
  if (uri.startsWith("mongodb://") || uri.startsWith("mongodb+srv://")) {
    // Its driver is large: a start on SQLite does not wait for it to load.
    const { openMongoStore } = await import("./mongo.ts");
    return openMongoStore({ uri, ...options });
  }
  // The URI may hold a password: it is not repeated.
  throw new InvalidArgument(
    'a document store is named "sqlite:<path>", "sqlite::memory:" or "mongodb://<host>/<database>"',
    { reason: ErrorReason.INVALID_FIELD },
  );
}
