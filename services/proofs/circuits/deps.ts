// What the handlers and the making of circuits work with.

import type { BlobStore } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { Stored } from "../../common/documents/port.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { ProofsConfig } from "../config.ts";
import type { ProofsEvents } from "../events.ts";
import type { Prover } from "../prover/prover-port.ts";
import type { Workshop } from "../workshop/workshop-port.ts";
import type { Circuit, KeyDocument } from "./circuit.ts";
import type { CircuitFiles } from "./circuit-files.ts";
import type { CircuitStore } from "./circuit-store.ts";

export interface CircuitDeps {
  readonly config: Pick<
    ProofsConfig,
    "constraintsMax" | "jobLeaseMs" | "jobPollMs" | "modelBytesMax"
  >;
  readonly clock: Clock;
  readonly events: ProofsEvents;
  /** Of this service alone. */
  readonly blobs: BlobStore;
  readonly circuits: CircuitStore;
  readonly files: CircuitFiles;
  readonly workshop: Workshop;
  readonly prover: Prover;
  readonly powersOfTau: PowersOfTauSource;
  readonly ceremony: CeremonyCloser;
  /** The newest proof of a circuit that is kept, if there is one. */
  readonly newestProof: (circuit: Circuit) => Promise<CircuitProof | undefined>;
  /** How many rows wait for their proofs under the circuit's key. */
  readonly waitingRows: (circuit: Circuit) => number;
  /** With the credential of a service; undefined: none is reachable from here. */
  readonly registry: Channel | undefined;
}

/** Powers of tau that were imported and verified. */
export interface PowersOfTauSource {
  /** @throws NotFound */
  get(name: string): Promise<{ readonly sha256: string }>;
  /** Their file on this machine, not to be changed. @throws NotFound */
  file(name: string): Promise<{ readonly path: string; readonly sha256: string }>;
}

/** Ends ceremonies. */
export interface CeremonyCloser {
  /**
   * The key of a ceremony, verified from the constraints and the powers of tau on.
   * @throws FailedPrecondition without a contribution, or with gamma equal to delta
   */
  close(circuit: Stored<Circuit>, signal: AbortSignal): Promise<KeyDocument>;
}

/** A Groth16 proof that verified. */
export interface CircuitProof {
  /** 256 bytes, or snarkjs' JSON. */
  readonly proof: unknown;
  /** In decimal. */
  readonly publicValues: readonly string[];
}
