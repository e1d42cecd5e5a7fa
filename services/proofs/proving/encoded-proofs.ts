// Proofs as bytes of messages. Those who watch a job are told of the same ones at about the same
// time, so what was encoded is kept for some seconds; not longer, as somebody may delete a proof.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import { toProof } from "./proof-message.ts";
import type { ProofStore } from "./proof-store.ts";
import { proofBytes } from "./watch-message.ts";

const KEEP_MS = 10_000;
const BYTES_MAX = 32 * 1024 * 1024;

interface Kept {
  readonly bytes: Promise<Uint8Array | undefined>;
  readonly sinceMs: number;
  /** 0: not known yet. */
  size: number;
}

/** Keeps what was encoded last. */
export class EncodedProofs {
  readonly #proofs: Pick<ProofStore, "find" | "schema">;
  readonly #clock: Clock;
  /** By name, oldest first. */
  readonly #kept = new Map<string, Kept>();
  #size = 0;

  constructor(proofs: Pick<ProofStore, "find" | "schema">, clock: Clock) {
    this.#proofs = proofs;
    this.#clock = clock;
  }

  /** A plinth.proofs.v1.Proof; undefined: it was deleted. */
  async get(name: string): Promise<Uint8Array | undefined> {
    const now = this.#clock.monotonicMs();
    this.#makeRoom(now);
    const there = this.#kept.get(name);
    if (there !== undefined) {
      return await there.bytes;
    }
    const kept: Kept = { bytes: this.#encode(name), sinceMs: now, size: 0 };
    this.#kept.set(name, kept);
    try {
      const bytes = await kept.bytes;
      if (this.#kept.get(name) === kept) {
        kept.size = bytes?.length ?? 0;
        this.#size += kept.size;
      }
      return bytes;
    } catch (error) {
      this.forget(name);
      throw error;
    }
  }

  /** Of a proof that was deleted. */
  forget(name: string): void {
    this.#size -= this.#kept.get(name)?.size ?? 0;
    this.#kept.delete(name);
  }

  async #encode(name: string): Promise<Uint8Array | undefined> {
    const proof = await this.#proofs.find(name);
    if (proof === undefined) {
      return undefined;
    }
    const schema = await this.#proofs.schema(proof.schemaHash);
    // Of many in a row each has its own turn.
    await nextTurn();
    return proofBytes(toProof(proof, schema));
  }

  #makeRoom(now: number): void {
    for (const [name, { sinceMs }] of this.#kept) {
      if (now < sinceMs + KEEP_MS && this.#size <= BYTES_MAX) {
        return;
      }
      this.forget(name);
    }
  }
}
