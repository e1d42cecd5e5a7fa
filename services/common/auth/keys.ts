// The API keys of the mesh: made, listed, revoked and looked up. Records are never deleted, so that
// what a key did stays attributable after it ended.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import type { Clock } from "../clock.ts";
import type { Collection, DocumentStore, Stored } from "../documents/port.ts";
import {
  Aborted,
  type FieldViolation,
  InvalidArgument,
  NotFound,
  PermissionDenied,
} from "../errors/domain-error.ts";
import { apiKeyName } from "../names.ts";
import { newKeyId, newKeySecret, secretHash } from "./key-secret.ts";
import type { Principal } from "./principal.ts";

const DISPLAY_NAME_MAX = 200;

/** Tries of a revocation against other writers of the same record; only a revocation writes one. */
const REVOKE_TRIES = 5;

/** What is kept of a key: everything but the secret. */
export interface ApiKeyRecord {
  /** The last segment of its name; ids sort by creation. */
  readonly id: string;
  /** The one workspace it reaches, or `-` for all. */
  readonly workspace: string;
  readonly displayName: string;
  readonly roles: readonly Role[];
  readonly createTime: Date;
  /** Absent: it works until it is revoked. */
  readonly expireTime: Date | undefined;
  /** Absent: it was not revoked. */
  readonly revokeTime: Date | undefined;
  /** SHA-256 of the secret in hex. Never leaves the process. */
  readonly secretHash: string;
}

export interface NewApiKey {
  readonly workspace: string;
  readonly displayName: string;
  readonly roles: readonly Role[];
  readonly expireTime?: Date | undefined;
}

/** What the authenticator needs of the keys; ApiKeys is one, a remote registry could be another. */
export interface KeySource {
  /** The key with this id, whatever its state. */
  lookup(id: string): Promise<ApiKeyRecord | undefined>;
  /** Whether a key was ever made, usable or not. */
  everMade(): Promise<boolean>;
  /** Calls back after each creation and revocation made through this object. */
  onChange(listener: (id: string) => void): Disposable;
}

interface KeyDocument {
  readonly _id: string;
  readonly workspace: string;
  readonly displayName: string;
  readonly roles: readonly number[];
  readonly createTime: Date;
  readonly expireTime: Date | null;
  readonly revokeTime: Date | null;
  readonly secretHash: string;
}

export class ApiKeys implements KeySource {
  readonly #documents: Collection<KeyDocument>;
  readonly #clock: Clock;
  readonly #listeners = new Set<(id: string) => void>();

  private constructor(documents: Collection<KeyDocument>, clock: Clock) {
    this.#documents = documents;
    this.#clock = clock;
  }

  static async open(store: DocumentStore, clock: Clock): Promise<ApiKeys> {
    const documents = await store.collection<KeyDocument>({
      name: "api_keys",
      indexes: [{ keys: { workspace: 1 } }],
    });
    return new ApiKeys(documents, clock);
  }

  /**
   * Makes a key. The secret is in the result and nowhere else.
   * @throws InvalidArgument with every violation at once.
   */
  async create(key: NewApiKey): Promise<{ record: ApiKeyRecord; secret: string }> {
    const nowMs = this.#clock.now();
    checkNewKey(key, nowMs);
    const id = newKeyId(nowMs);
    const secret = newKeySecret(id);
    const stored = await this.#documents.insertOne({
      _id: id,
      workspace: key.workspace,
      displayName: key.displayName,
      roles: [...new Set(key.roles)],
      createTime: new Date(nowMs),
      expireTime: key.expireTime ?? null,
      revokeTime: null,
      secretHash: secretHash(secret),
    });
    this.#changed(id);
    return { record: toRecord(stored), secret };
  }

  /**
   * A workspace's keys by creation, revoked and expired ones too. `after` is the id of the last
   * record of the page before; a page with fewer than `limit` records is the last.
   */
  async list(page: {
    readonly workspace: string;
    readonly limit: number;
    readonly after?: string | undefined;
  }): Promise<readonly ApiKeyRecord[]> {
    const { workspace, limit, after } = page;
    // The store gives them by id, and ids sort by creation.
    const filter = after === undefined ? { workspace } : { workspace, _id: { $gt: after } };
    const records: ApiKeyRecord[] = [];
    for await (const document of this.#documents.find(filter, { limit })) {
      records.push(toRecord(document));
    }
    return records;
  }

  /**
   * Ends a key; one that has ended already is returned as it is.
   * @throws NotFound when the workspace has no such key.
   */
  async revoke(key: { readonly workspace: string; readonly id: string }): Promise<ApiKeyRecord> {
    for (let tries = 1; ; tries += 1) {
      const stored = await this.#documents.findOne({ _id: key.id, workspace: key.workspace });
      if (stored === undefined) {
        const name = apiKeyName.format({ workspace: key.workspace, key: key.id });
        throw new NotFound(
          `There is no API key "${name}". List the workspace's keys to see them.`,
          {
            reason: ErrorReason.RESOURCE_NOT_FOUND,
            metadata: { name },
          },
        );
      }
      if (stored.revokeTime !== null) {
        return toRecord(stored);
      }
      try {
        const { version, revision: _, ...document } = stored;
        const revoked = { ...document, revokeTime: new Date(this.#clock.now()) };
        const written = await this.#documents.replaceOne(revoked, { ifVersion: version });
        return toRecord(written);
      } catch (error) {
        if (!(error instanceof Aborted) || tries === REVOKE_TRIES) {
          throw error;
        }
      } finally {
        this.#changed(key.id);
      }
    }
  }

  async lookup(id: string): Promise<ApiKeyRecord | undefined> {
    const stored = await this.#documents.findOne({ _id: id });
    return stored === undefined ? undefined : toRecord(stored);
  }

  /** Whether there is a key that works now, in any workspace. */
  async any(): Promise<boolean> {
    const live = { revokeTime: { $exists: false } };
    const lasting = await this.#documents.findOne({ ...live, expireTime: { $exists: false } });
    if (lasting !== undefined) {
      return true;
    }
    const now = new Date(this.#clock.now());
    return (await this.#documents.findOne({ ...live, expireTime: { $gt: now } })) !== undefined;
  }

  async everMade(): Promise<boolean> {
    return (await this.#documents.findOne({})) !== undefined;
  }

  onChange(listener: (id: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #changed(id: string): void {
    for (const listener of this.#listeners) {
      listener(id);
    }
  }
}

/** Whether the record is one that lets its holder in at this time. */
export function isUsable(record: ApiKeyRecord, nowMs: number): boolean {
  const { expireTime, revokeTime } = record;
  return revokeTime === undefined && (expireTime === undefined || expireTime.getTime() > nowMs);
}

/** The caller that the key speaks for. */
export function principalOf(record: ApiKeyRecord): Principal {
  const { workspace, id, roles } = record;
  return { id: apiKeyName.format({ workspace, key: id }), workspace, roles };
}

/**
 * A key reaches no further than the one who makes it: only a caller that reaches all workspaces
 * makes keys for `-`, and only the workspace's own callers make its keys. That the caller is an
 * administrator is checked where every method's role is.
 * @throws PermissionDenied
 */
export function requireMayMakeKey(principal: Principal, workspace: string): void {
  if (principal.workspace === "-" || principal.workspace === workspace) {
    return;
  }
  const wanted = workspace === "-" ? "all workspaces" : `workspace "${workspace}"`;
  throw new PermissionDenied(
    `A key of workspace "${principal.workspace}" cannot make one for ${wanted}. ` +
      `Make it for "workspaces/${principal.workspace}", or use a key that reaches ${wanted}.`,
    { reason: ErrorReason.PERMISSION_DENIED, metadata: { workspace } },
  );
}

function checkNewKey(key: NewApiKey, nowMs: number): void {
  const violations: FieldViolation[] = [];
  if (key.displayName.length > DISPLAY_NAME_MAX) {
    const description = `has ${key.displayName.length} characters; at most ${DISPLAY_NAME_MAX}`;
    violations.push({ field: "api_key.display_name", description });
  }
  if (key.roles.length === 0) {
    violations.push({ field: "api_key.roles", description: "is empty; name at least one role" });
  }
  for (const [index, role] of key.roles.entries()) {
    if (role === Role.UNSPECIFIED || role === Role.SERVICE || Role[role] === undefined) {
      const description = `is ${Role[role] ?? role}; VIEWER, PREDICTOR, EDITOR, APPROVER or ADMIN`;
      violations.push({ field: `api_key.roles[${index}]`, description });
    }
  }
  if (key.expireTime !== undefined && !(key.expireTime.getTime() > nowMs)) {
    const description = "is not in the future; leave it out for a key that does not expire";
    violations.push({ field: "api_key.expire_time", description });
  }
  if (violations.length > 0) {
    const faults = violations.map(({ field, description }) => `${field} ${description}`);
    throw new InvalidArgument(`The key cannot be made: ${faults.join("; ")}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations,
    });
  }
}

function toRecord(stored: Stored<KeyDocument>): ApiKeyRecord {
  return {
    id: stored._id,
    workspace: stored.workspace,
    displayName: stored.displayName,
    roles: stored.roles as readonly Role[],
    createTime: stored.createTime,
    expireTime: stored.expireTime ?? undefined,
    revokeTime: stored.revokeTime ?? undefined,
    secretHash: stored.secretHash,
  };
}
