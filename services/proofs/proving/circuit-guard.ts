// What the registry says of a circuit before it answers: whether the model version that it was made
// of is still there, and not another one of its name; and whether it may be used in its workspace,
// as whoever made a development key can forge proofs, and nobody who is shown one would know.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { DomainError, FailedPrecondition, Unavailable } from "../../common/errors/domain-error.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import { type Circuit, isDevelopment } from "../circuits/circuit.ts";
import type { ModelSource } from "../circuits/model-source.ts";

/** Seconds after a change nobody gets around it; and one call a prediction is many. */
const FRESH_MS = 5_000;
/** While the registry is away, what it said last counts so long. */
const AWAY_MS = 60_000;
/** Until it is asked again while it is away: each time may take seconds. */
const RETRY_MS = 1_000;
const KNOWN_MAX = 10_000;

type Source = Pick<ModelSource, "isKnown" | "isProduction" | "lookUp">;

interface Known<T> {
  readonly value: T;
  /** When the registry said so. */
  readonly saidMs: number;
  readonly askAgainMs: number;
}

/** Asks the registry, and remembers for some seconds what it said. */
export class CircuitGuard {
  readonly #source: Source;
  readonly #clock: Clock;
  /** By name of the version; null: it is gone. */
  readonly #uids = new Map<string, Known<string | null>>();
  /** By workspace. */
  readonly #production = new Map<string, Known<boolean>>();

  constructor(source: Source, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * Where no registry is known everything is allowed: nothing is marked or removed there.
   * @throws FailedPrecondition for a circuit that is not to be used; Unavailable while nobody can
   *   say
   */
  async check(circuit: Circuit, context: CallContext): Promise<void> {
    if (!this.#source.isKnown) {
      return;
    }
    const { modelVersion, workspace } = circuit;
    const ask = <T>(known: Map<string, Known<T>>, key: string, asked: () => Promise<T>) =>
      this.#known(known, { key, asked, context });
    const uid = await ask(this.#uids, modelVersion, () => this.#uidOf(modelVersion, context));
    if (uid !== circuit.modelVersionUid) {
      throw otherVersion(circuit, { isGone: uid === null });
    }
    const isProduction = () => this.#source.isProduction(workspace, { parent: context });
    if (isDevelopment(circuit) && (await ask(this.#production, workspace, isProduction))) {
      throw developmentKey(circuit);
    }
  }

  async #uidOf(modelVersion: string, parent: CallContext): Promise<string | null> {
    try {
      return (await this.#source.lookUp(modelVersion, { parent })).uid;
    } catch (error) {
      if (error instanceof DomainError && error.kind === "NotFound") {
        return null;
      }
      throw error;
    }
  }

  async #known<T>(
    known: Map<string, Known<T>>,
    of: {
      readonly key: string;
      readonly asked: () => Promise<T>;
      readonly context: CallContext;
    },
  ): Promise<T> {
    const { key, asked, context } = of;
    const before = known.get(key);
    if (before !== undefined && this.#clock.now() < before.askAgainMs) {
      return before.value;
    }
    try {
      const value = await asked();
      const saidMs = this.#clock.now();
      if (known.size >= KNOWN_MAX) {
        known.clear();
      }
      known.set(key, { value, saidMs, askAgainMs: saidMs + FRESH_MS });
      return value;
    } catch (error) {
      context.signal.throwIfAborted();
      if (!isAway(error)) {
        throw error;
      }
      const now = this.#clock.now();
      if (before === undefined || now >= before.saidMs + AWAY_MS) {
        throw away(key, error);
      }
      known.set(key, { ...before, askAgainMs: now + RETRY_MS });
      return before.value;
    }
  }
}

function isAway(error: unknown): boolean {
  return (
    error instanceof DomainError &&
    (error.kind === "Unavailable" || error.kind === "DeadlineExceeded")
  );
}

function away(subject: string, cause: unknown): Unavailable {
  return new Unavailable(
    `Whether ${subject} is still what its circuits were made for cannot be told: the registry is ` +
      "away or too slow. Try again.",
    { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: RETRY_MS, cause },
  );
}

function otherVersion(
  { _id: name, modelVersion }: Circuit,
  { isGone }: { readonly isGone: boolean },
): FailedPrecondition {
  const description = isGone
    ? `is of ${modelVersion}, which was removed`
    : `is of a ${modelVersion} that was removed; another version has its name now`;
  const advice = isGone
    ? "Register the model again and create a circuit of the new version."
    : "Create a circuit of the version that is there, and activate it.";
  return new FailedPrecondition(`${name} ${description}. ${advice}`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: name },
    violations: [{ type: "MODEL_VERSION", subject: name, description }],
  });
}

function developmentKey({ _id: name, workspace }: Circuit): FailedPrecondition {
  const description =
    "has a development key, which whoever made it can forge proofs with, and the workspace " +
    `"${workspace}" is marked production`;
  return new FailedPrecondition(
    `${name} ${description}. Activate a circuit whose key comes from a ceremony, or from ` +
      "powers of tau alone (PLONK).",
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: name },
      violations: [{ type: "DEVELOPMENT_KEY", subject: name, description }],
    },
  );
}
