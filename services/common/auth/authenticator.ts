// Who sent this call? Asked once a call and so on the hot path: the answer for a key seen in the
// last seconds comes from memory without a promise. The price is staleness: a revocation made
// elsewhere is noticed after at most STALE_MS; one made through this process's ApiKeys is noticed
// at once. While the store is away, callers known before are let in on: what is loaded is served
// on.

import { hash, timingSafeEqual } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import type { Clock } from "../clock.ts";
import { ResourceExhausted, Unauthenticated, Unavailable } from "../errors/domain-error.ts";
import { keyIdOf } from "./key-secret.ts";
import { type ApiKeyRecord, isUsable, type KeySource, principalOf } from "./keys.ts";
import { anonymous, type Principal } from "./principal.ts";

/**
 * The contract of RevokeApiKey: 5 seconds on every other server, counted from before the lookup.
 */
const STALE_MS = 5000;

/**
 * While the store does not answer, what it said last counts for this long: nobody can revoke a key
 * in a store that is away, and a mesh that refused all its callers would be away with it.
 */
const AWAY_MAX_MS = 3_600_000;

/** A caller known before waits this long for a store that does not answer, and no longer. */
const SLOW_MS = 500;

/** A refusal is remembered just long enough to keep a client in a tight loop off the store. */
const REFUSED_MS = 1000;

/** Keys and refusals remembered, each; a few hundred bytes an entry. The oldest goes first. */
const ENTRIES_MAX = 10_000;

/**
 * Lookups under way at once; above it someone is guessing keys, and guesses must not fill memory.
 */
const LOOKUPS_MAX = 256;

/** Longer than any credential we make; longer headers are refused unread. */
const HEADER_MAX = 512;

const BEARER = /^bearer +(\S+)$/i;

export interface Authenticator extends Disposable {
  /**
   * The caller that an `authorization` header stands for; undefined: the call carried none.
   * @throws Unauthenticated, now or as a rejection; Unavailable when the store is away and the key
   *   was not let in within the last hour; ResourceExhausted when too many unknown keys are being
   *   looked up.
   */
  authenticate(authorizationHeader: string | undefined): Principal | Promise<Principal>;
}

export interface AuthenticatorOptions {
  readonly keys: KeySource;
  /** Shared by the services of a mesh. Absent: no service credential is accepted. */
  readonly meshSecret: string | undefined;
  readonly clock: Clock;
  /**
   * True when every listener is on loopback: calls without credentials pass while no key exists.
   */
  readonly openAllowed: boolean;
}

/** The `authorization` header by which the services of a mesh know each other. */
export function serviceAuthorization(meshSecret: string): string {
  return `Bearer plm_${meshSecret}`;
}

/** Dispose it to stop listening to the keys' changes. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  return new CachingAuthenticator(options);
}

/** Another service of this mesh. The credential does not say which one. */
const service: Principal = { id: "services/mesh", workspace: "-", roles: [Role.SERVICE] };

interface Known {
  /** Absent: the mesh's own credential. */
  readonly keyId: string | undefined;
  readonly principal: Principal;
  /** Asked about again from this moment on: the lookup is stale or the key expired. */
  readonly untilMs: number;
  /** Not used from this moment on, whether or not the store can be asked. */
  readonly awayUntilMs: number;
}

class CachingAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #meshHash: Buffer | undefined;
  readonly #subscription: Disposable;
  readonly #known = new Map<string, Known>();
  readonly #refusedUntilMs = new Map<string, number>();
  readonly #lookups = new Map<string, Promise<Principal>>();
  /** Counts local changes, so that a lookup begun before one does not outlive it in the cache. */
  #changes = 0;
  #keysExist = false;
  #openAsked: Promise<Principal> | undefined;
  #noKeysUntilMs = Number.NEGATIVE_INFINITY;
  #openAwayUntilMs = Number.NEGATIVE_INFINITY;
  /** Whether the last question to the store found it away. */
  #storeAway = false;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#meshHash =
      options.meshSecret === undefined ? undefined : digest(`plm_${options.meshSecret}`);
    this.#subscription = options.keys.onChange((id) => this.#forget(id));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  authenticate(header: string | undefined): Principal | Promise<Principal> {
    if (header === undefined || header === "") {
      return this.#withoutCredentials();
    }
    const token = header.length > HEADER_MAX ? undefined : BEARER.exec(header)?.[1];
    if (token === undefined) {
      throw refusal('The authorization header is not "Bearer plk_...".');
    }
    // By hash, so that no table of this process holds a secret or compares one.
    const tokenHash = hash("sha256", token, "hex");
    const nowMs = this.#options.clock.now();
    const known = this.#known.get(tokenHash);
    if (known !== undefined && nowMs < known.untilMs) {
      return known.principal;
    }
    if (token.startsWith("plm_")) {
      return this.#asService(token, tokenHash);
    }
    const asked = this.#byKey(token, tokenHash, nowMs);
    return known !== undefined && nowMs < known.awayUntilMs
      ? this.#unlessAway(asked, known.principal)
      : asked;
  }

  #withoutCredentials(): Principal | Promise<Principal> {
    if (!this.#options.openAllowed || this.#keysExist) {
      throw refusal("The call carries no credentials.");
    }
    const nowMs = this.#options.clock.now();
    if (nowMs < this.#noKeysUntilMs) {
      return anonymous;
    }
    this.#openAsked ??= this.#askIfOpen().finally(() => {
      this.#openAsked = undefined;
    });
    return nowMs < this.#openAwayUntilMs
      ? this.#unlessAway(this.#openAsked, anonymous)
      : this.#openAsked;
  }

  /** What the store says, or who the caller was known to be while it is away or slow. */
  #unlessAway(asked: Promise<Principal>, known: Principal): Principal | Promise<Principal> {
    if (!this.#storeAway) {
      return soonOr(asked, known);
    }
    // Whoever comes after the answer finds it.
    asked.catch(() => undefined);
    return known;
  }

  /** A question to the store; notes whether it is away. */
  async #ask<T>(question: Promise<T>): Promise<T> {
    try {
      const answer = await question;
      this.#storeAway = false;
      return answer;
    } catch (error) {
      this.#storeAway = error instanceof Unavailable;
      throw error;
    }
  }

  async #askIfOpen(): Promise<Principal> {
    const { clock, keys } = this.#options;
    const askedMs = clock.now();
    const changes = this.#changes;
    // Records are never deleted, so once a key was made this never opens again, not even when the
    // last key expires: that must not unlock the mesh.
    if ((await this.#ask(keys.everMade())) || this.#changes !== changes) {
      this.#keysExist = true;
      throw refusal("The call carries no credentials.");
    }
    this.#noKeysUntilMs = askedMs + STALE_MS;
    this.#openAwayUntilMs = askedMs + AWAY_MAX_MS;
    return anonymous;
  }

  #asService(token: string, tokenHash: string): Principal {
    if (this.#meshHash === undefined || !timingSafeEqual(digest(token), this.#meshHash)) {
      throw refusal("The service credential is not this mesh's; check PLINTH_MESH_SECRET.");
    }
    // It stays right for as long as this process lives.
    const untilMs = Number.POSITIVE_INFINITY;
    const known = { keyId: undefined, principal: service, untilMs, awayUntilMs: untilMs };
    remember(this.#known, tokenHash, known);
    return service;
  }

  #byKey(token: string, tokenHash: string, nowMs: number): Promise<Principal> {
    if (nowMs < (this.#refusedUntilMs.get(tokenHash) ?? 0)) {
      throw unknownKey();
    }
    const keyId = keyIdOf(token);
    if (keyId === undefined) {
      throw refusal("The API key is not well formed: it was cut short or mistyped.");
    }
    const underWay = this.#lookups.get(tokenHash);
    if (underWay !== undefined) {
      return underWay;
    }
    // A key that was good a moment ago is never turned away because others are guessing.
    if (this.#lookups.size >= LOOKUPS_MAX && !this.#known.has(tokenHash)) {
      throw new ResourceExhausted("Too many unknown API keys are being checked. Try again soon.", {
        reason: ErrorReason.OVERLOADED,
        retryAfterMs: REFUSED_MS,
      });
    }
    const lookup = this.#lookUp(keyId, tokenHash).finally(() => this.#lookups.delete(tokenHash));
    this.#lookups.set(tokenHash, lookup);
    return lookup;
  }

  async #lookUp(keyId: string, tokenHash: string): Promise<Principal> {
    const { clock, keys } = this.#options;
    const askedMs = clock.now();
    const changes = this.#changes;
    const record = await this.#ask(keys.lookup(keyId));
    this.#known.delete(tokenHash);
    if (record === undefined || !matches(record, tokenHash) || !isUsable(record, clock.now())) {
      remember(this.#refusedUntilMs, tokenHash, clock.now() + REFUSED_MS);
      throw unknownKey();
    }
    const principal = principalOf(record);
    if (this.#changes === changes) {
      const expireMs = record.expireTime?.getTime() ?? Number.POSITIVE_INFINITY;
      const untilMs = Math.min(askedMs + STALE_MS, expireMs);
      const awayUntilMs = Math.min(askedMs + AWAY_MAX_MS, expireMs);
      remember(this.#known, tokenHash, { keyId, principal, untilMs, awayUntilMs });
    }
    return principal;
  }

  #forget(keyId: string): void {
    this.#changes += 1;
    this.#keysExist = true;
    this.#refusedUntilMs.clear();
    // A lookup under way may have read the record as it was; the next call asks again.
    this.#lookups.clear();
    for (const [tokenHash, known] of this.#known) {
      if (known.keyId === keyId) {
        this.#known.delete(tokenHash);
      }
    }
  }
}

/** The answer, or what was known where it does not come soon or the store is away. */
async function soonOr(asked: Promise<Principal>, known: Principal): Promise<Principal> {
  let timer: NodeJS.Timeout | undefined;
  const slow = new Promise<Principal>((resolve) => {
    timer = setTimeout(() => resolve(known), SLOW_MS);
  });
  try {
    return await Promise.race([asked, slow]);
  } catch (error) {
    if (error instanceof Unavailable) {
      return known;
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function matches(record: ApiKeyRecord, tokenHash: string): boolean {
  return timingSafeEqual(Buffer.from(record.secretHash, "hex"), Buffer.from(tokenHash, "hex"));
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

function remember<V>(cache: Map<string, V>, key: string, value: V): void {
  if (cache.size >= ENTRIES_MAX) {
    cache.delete(cache.keys().next().value!);
  }
  cache.set(key, value);
}

/** One text for a key that is unknown, revoked or expired: a guesser learns nothing from it. */
function unknownKey(): Unauthenticated {
  return refusal("The API key is unknown, revoked or expired.");
}

function refusal(what: string): Unauthenticated {
  return new Unauthenticated(
    `${what} Send "authorization: Bearer plk_..." with a key from \`plinth keys create\`.`,
    { reason: ErrorReason.UNAUTHENTICATED },
  );
}
