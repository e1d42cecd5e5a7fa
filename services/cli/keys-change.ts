// `plinth keys create|list|revoke`: through the server, or straight into a store for the first key.

import { mkdir } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import { type ApiKey, ApiKeySchema } from "../../gen/plinth/registry/v1/api_key_pb.js";
import {
  CreateApiKeyResponseSchema,
  ListApiKeysResponseSchema,
} from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { systemClock } from "../common/clock.ts";
import { apiKeyName } from "../common/names.ts";
import { UsageError } from "./exit-codes.ts";
import { formatTime } from "./format.ts";
import { ROLES } from "./roles.ts";
import { listAll, noteMore, type Session } from "./session.ts";

export interface CreateKeyOptions {
  readonly role: readonly string[];
  readonly displayName: string;
  readonly expires?: number;
  readonly allWorkspaces?: boolean;
  readonly store?: string;
  readonly dataDir?: string;
}

interface NewKey {
  readonly workspace: string;
  readonly displayName: string;
  readonly roles: readonly Role[];
  readonly expireTime?: Date;
}

/** `plinth keys create` */
export async function createKey(
  session: Session,
  _args: readonly [],
  options: CreateKeyOptions,
): Promise<void> {
  const { output } = session;
  const key: NewKey = {
    workspace: options.allWorkspaces === true ? "-" : session.workspace,
    displayName: options.displayName,
    roles: options.role.map(parseRole),
    ...(options.expires === undefined
      ? {}
      : { expireTime: new Date(Date.now() + options.expires) }),
  };
  const { apiKey, secret } =
    options.store === undefined && options.dataDir === undefined
      ? await createOnServer(session, key)
      : await createInStore(options, key);
  if (output.json) {
    const made = create(CreateApiKeyResponseSchema, { apiKey, secret });
    return output.message(CreateApiKeyResponseSchema, made);
  }
  output.line(secret);
  output.note(
    `Key ${idOf(apiKey)} (${rolesText(apiKey)}${expiryText(apiKey)}) of workspace ` +
      `${key.workspace === "-" ? "- (all)" : key.workspace}.\n` +
      "This is the only time the secret is shown. Use it as PLINTH_API_KEY or\n" +
      '"authorization: Bearer <secret>".',
  );
}

/** `plinth keys list` */
export async function listKeys(
  session: Session,
  _args: readonly [],
  options: { readonly limit: number; readonly allWorkspaces?: boolean },
): Promise<void> {
  const { output } = session;
  const parent = options.allWorkspaces === true ? "workspaces/-" : session.parent;
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) => session.keys.listApiKeys({ parent, ...page }, session.call),
    items: (response) => response.apiKeys,
  });
  if (output.json) {
    const all = create(ListApiKeysResponseSchema, { apiKeys: [...items] });
    return output.message(ListApiKeysResponseSchema, all);
  }
  output.table(
    ["KEY", "ROLES", "CREATED", "EXPIRES", "REVOKED", "DISPLAY NAME"].map((title) => ({ title })),
    items.map((key) => [
      idOf(key),
      rolesText(key),
      formatTime(key.createTime),
      formatTime(key.expireTime) || "never",
      formatTime(key.revokeTime),
      key.displayName,
    ]),
    `No keys in ${parent}. Make one with "plinth keys create --role ...".`,
  );
  noteMore(session, more);
}

/** `plinth keys revoke` */
export async function revokeKey(
  session: Session,
  [id]: readonly [string],
  options: { readonly allWorkspaces?: boolean },
): Promise<void> {
  const workspace = options.allWorkspaces === true ? "-" : session.workspace;
  const name = id.startsWith("workspaces/") ? id : apiKeyName.format({ workspace, key: id });
  const key = await session.keys.revokeApiKey({ name }, session.call);
  if (session.output.json) {
    return session.output.message(ApiKeySchema, key);
  }
  session.output.line(`Key ${idOf(key)} is revoked.`);
}

async function createOnServer(session: Session, key: NewKey) {
  const response = await session.keys.createApiKey(
    {
      parent: `workspaces/${key.workspace}`,
      apiKey: {
        displayName: key.displayName,
        roles: [...key.roles],
        ...(key.expireTime === undefined ? {} : { expireTime: timestampFromDate(key.expireTime) }),
      },
    },
    session.call,
  );
  return { apiKey: response.apiKey ?? create(ApiKeySchema), secret: response.secret };
}

/** No server takes part: whoever can write the store may make keys. */
async function createInStore(options: CreateKeyOptions, key: NewKey) {
  const [{ openDocumentStore }, { ApiKeys }, { storeUri }] = await Promise.all([
    import("../common/documents/open.ts"),
    import("../common/auth/keys.ts"),
    import("../common/platform.ts"),
  ]);
  const dataDir = options.dataDir ?? ".plinth";
  if (options.store === undefined) {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  }
  await using store = await openDocumentStore(
    storeUri({ store: options.store ?? "sqlite", dataDir }),
  );
  const keys = await ApiKeys.open(store, systemClock);
  const { record, secret } = await keys.create(key);
  const apiKey = create(ApiKeySchema, {
    name: apiKeyName.format({ workspace: record.workspace, key: record.id }),
    createTime: timestampFromDate(record.createTime),
    displayName: record.displayName,
    roles: [...record.roles],
    ...(record.expireTime === undefined
      ? {}
      : { expireTime: timestampFromDate(record.expireTime) }),
  });
  return { apiKey, secret };
}

function parseRole(text: string): Role {
  const name = ROLES.find((role) => role === text.toLowerCase());
  if (name === undefined) {
    throw new UsageError(`A role is one of ${ROLES.join(", ")}; got "${text}".`);
  }
  return Role[name.toUpperCase() as Uppercase<(typeof ROLES)[number]>];
}

function rolesText(key: ApiKey): string {
  return key.roles.map((role) => Role[role].toLowerCase()).join(", ");
}

function expiryText(key: ApiKey): string {
  return key.expireTime === undefined ? "" : `, until ${formatTime(key.expireTime)}`;
}

function idOf(key: ApiKey): string {
  return key.name.split("/").at(-1) ?? key.name;
}
