// For tests of what stands on the documents port: a real store that ends with the test.

import { onTestFinished } from "vitest";
import type { Clock } from "../clock.ts";
import type { DocumentStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

/** An SQLite store in memory, closed when the running test has finished. */
export async function useStore(options: { readonly clock?: Clock } = {}): Promise<DocumentStore> {
  const store = await openSqliteStore({ path: ":memory:", ...options });
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
  });
  return store;
}
