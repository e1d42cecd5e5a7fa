// The handlers of ApiKeyService, over the keys that services/common/auth keeps.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import type { ApiKeySchema } from "../../gen/plinth/registry/v1/api_key_pb.js";
import type { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { type ApiKeyRecord, requireMayMakeKey } from "../common/auth/keys.ts";
import { anonymous, type Principal, requireWorkspace } from "../common/auth/principal.ts";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import { apiKeyName, workspaceName } from "../common/names.ts";
import { decodePageToken, encodePageToken, pageSizeOf } from "../common/page-token.ts";
import type { ServiceHandlers } from "../common/rpc/context.ts";
import type { RegistryDeps } from "./deps.ts";
import { requireParentWorkspace } from "./parents.ts";

/** Handlers over the mesh's keys. */
export function apiKeyHandlers(deps: RegistryDeps): ServiceHandlers<typeof ApiKeyService> {
  const { keys, store } = deps;
  return {
    async createApiKey({ parent, apiKey }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireMayMakeKey(context.principal, workspace);
      requireFirstKeyOpens(context.principal, workspace, apiKey?.roles ?? []);
      if (workspace !== "-") {
        await requireParentWorkspace(store, workspace);
      }
      const { record, secret } = await keys.create({
        workspace,
        displayName: apiKey?.displayName ?? "",
        roles: apiKey?.roles ?? [],
        expireTime: apiKey?.expireTime === undefined ? undefined : timestampDate(apiKey.expireTime),
      });
      return { apiKey: toApiKey(record), secret };
    },

    async listApiKeys({ parent, pageSize, pageToken }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      const size = pageSizeOf(pageSize);
      const call = ["ListApiKeys", parent];
      const [cursor] = decodePageToken(call, pageToken) ?? [];
      const after = cursor === undefined ? undefined : String(cursor);
      const records = await keys.list({ workspace, limit: size + 1, after });
      const page = records.slice(0, size);
      const last = page.at(-1);
      const isLast = records.length <= size || last === undefined;
      return {
        apiKeys: page.map(toApiKey),
        nextPageToken: isLast ? "" : encodePageToken(call, [last.id]),
      };
    },

    async revokeApiKey({ name }, context) {
      const { workspace, key } = apiKeyName.parse(name, "name");
      requireWorkspace(context.principal, workspace);
      return toApiKey(await keys.revoke({ workspace, id: key }));
    },
  };
}

/**
 * The first key of an open mesh closes it, so it must be one that can make the others.
 * @throws FailedPrecondition
 */
function requireFirstKeyOpens(
  principal: Principal,
  workspace: string,
  roles: readonly Role[],
): void {
  if (principal !== anonymous || (workspace === "-" && roles.includes(Role.ADMIN))) {
    return;
  }
  throw new FailedPrecondition(
    "The first key closes the mesh, so it must be an administrator's of all workspaces, or nobody " +
      "could make another. Make it with `plinth keys create --role admin --all-workspaces`, then " +
      "use it to make this one.",
    { reason: ErrorReason.STATE_FORBIDS },
  );
}

function toApiKey(record: ApiKeyRecord): MessageInitShape<typeof ApiKeySchema> {
  const { workspace, id, expireTime, revokeTime } = record;
  return {
    name: apiKeyName.format({ workspace, key: id }),
    createTime: timestampFromDate(record.createTime),
    displayName: record.displayName,
    roles: [...record.roles],
    ...(expireTime === undefined ? {} : { expireTime: timestampFromDate(expireTime) }),
    ...(revokeTime === undefined ? {} : { revokeTime: timestampFromDate(revokeTime) }),
  };
}
