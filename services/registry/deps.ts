// What every use case of the registry works with.

import type { ApiKeys } from "../common/auth/keys.ts";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { RegistryConfig } from "./config.ts";
import type { RegistryEvents } from "./events.ts";
import type { RegistryStore } from "./store.ts";

export interface RegistryDeps {
  readonly config: RegistryConfig;
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly keys: ApiKeys;
  readonly events: RegistryEvents;
  /** Has a version validated soon. */
  readonly validateSoon: (versionName: string) => void;
}

/** Now, as it is stored. */
export function now(deps: { readonly clock: Clock }): Date {
  return new Date(deps.clock.now());
}
