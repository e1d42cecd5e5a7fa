// What the handlers of ceremonies work with.

import type { BlobStore } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { BlobClaims } from "../circuits/blob-claims.ts";
import type { CircuitFiles } from "../circuits/circuit-files.ts";
import type { CircuitStore } from "../circuits/circuit-store.ts";
import type { ProofsConfig } from "../config.ts";
import type { ProofsEvents } from "../events.ts";
import type { Prover } from "../prover/prover-port.ts";
import type { PowersOfTauStore } from "./powers-of-tau-store.ts";

export interface CeremonyDeps {
  readonly config: ProofsConfig;
  readonly blobs: BlobStore;
  /** Keeps bytes from being swept before they are referred to. Absent: nobody sweeps. */
  readonly claims?: BlobClaims;
  readonly clock: Clock;
  readonly events: ProofsEvents;
  readonly circuits: CircuitStore;
  readonly files: CircuitFiles;
  readonly prover: Prover;
  readonly ptaus: PowersOfTauStore;
}
