// The handlers of alert rules.

import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type AlertRule, AlertRuleSchema } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import {
  type AlertService,
  CreateAlertRuleRequestSchema,
} from "../../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import type { Stored } from "../../common/documents/port.ts";
import { findReplayed, insertOnce, requestStamp } from "../../common/documents/request-stamp.ts";
import { getDocument, notFound, updateDocument } from "../../common/documents/resource.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import { maskedPaths } from "../../common/field-mask.ts";
import { listPage } from "../../common/list-page.ts";
import { alertRuleName, deploymentName, workspaceName } from "../../common/names.ts";
import { RESOURCE_ID, RequestFaults } from "../../common/request-faults.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallContext, Client, ServiceHandlers } from "../../common/rpc/context.ts";
import type { MonitoringConfig } from "../config.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import type { AlertStore } from "./alert-store.ts";
import { toRule } from "./convert-rule.ts";
import { checkTogether, parseFields, parseRule, RULE_PATHS, type RulePath } from "./parse-rule.ts";
import { removeRule } from "./remove-rule.ts";

type Handlers = ServiceHandlers<typeof AlertService>;
type RuleHandlers = Pick<
  Handlers,
  "getAlertRule" | "listAlertRules" | "createAlertRule" | "updateAlertRule" | "deleteAlertRule"
>;

export interface RuleHandlersDeps {
  readonly alerts: AlertStore;
  readonly config: Pick<MonitoringConfig, "webhookHosts">;
  /** Absent: deployments are taken as they are named. */
  readonly registry: Channel | undefined;
}

/** The handlers of rules. */
export function ruleHandlers(deps: RuleHandlersDeps): RuleHandlers {
  const { alerts, registry } = deps;
  const deployments = registry && createClient(DeploymentService, registry);
  return {
    async getAlertRule({ name }, context) {
      authorize(name, "name", context);
      return toRule(await getDocument(alerts.rules, name));
    },

    async listAlertRules({ parent, pageSize, pageToken }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      const page = await listPage(alerts.rules, {
        call: ["ListAlertRules", parent],
        pageSize,
        pageToken,
        where: { workspace, deleting: false },
        matches: () => true,
        order: { field: "_id", kind: "text", descending: false },
        signal: context.signal,
      });
      return {
        alertRules: page.items.map((rule) => toRule(rule)),
        nextPageToken: page.nextPageToken,
      };
    },

    createAlertRule: (request, context) => createRule(deps, deployments, { request, context }),

    updateAlertRule: (request, context) => updateRule(deps, request, context),

    async deleteAlertRule({ name, etag }, context) {
      authorize(name, "name", context);
      await removeRule(alerts, name, etag);
      return {};
    },
  };
}

async function createRule(
  deps: RuleHandlersDeps,
  deployments: Client<typeof DeploymentService> | undefined,
  call: {
    readonly request: Parameters<Handlers["createAlertRule"]>[0];
    readonly context: CallContext;
  },
): ReturnType<Handlers["createAlertRule"]> {
  const { request, context } = call;
  const { alerts, config } = deps;
  const { workspace } = workspaceName.parse(request.parent, "parent");
  requireWorkspace(context.principal, workspace);
  const message = request.alertRule ?? create(AlertRuleSchema);
  const faults = new RequestFaults();
  faults.id("alert_rule_id", request.alertRuleId, RESOURCE_ID);
  faults.requestId(request.requestId);
  const deployment = deploymentName.match(message.deployment);
  const isOwn = deployment?.workspace === workspace;
  const pattern = deploymentName.format({ workspace, deployment: "{deployment}" });
  faults.check(isOwn, "alert_rule.deployment", `must match ${pattern}`);
  const fields = parseRule(message, { faults, hosts: config.webhookHosts, known: [] });
  checkTogether(fields, faults);
  faults.done();
  const stamp = requestStamp({
    method: "CreateAlertRule",
    parent: request.parent,
    requestId: request.requestId,
    bytes: toBinary(CreateAlertRuleRequestSchema, request),
  });
  const earlier = await findReplayed(alerts.rules, stamp);
  if (earlier !== undefined) {
    return withMadeSecrets(earlier);
  }
  await requireDeployment(deployments, message.deployment, context);
  const createTime = alerts.now();
  const { stored } = await insertOnce(alerts.rules, {
    _id: alertRuleName.format({ workspace, rule: request.alertRuleId }),
    uid: randomUUID(),
    workspace,
    createTime,
    updateTime: createTime,
    deployment: message.deployment,
    deleting: false,
    ...fields,
    ...stamp,
  });
  return withMadeSecrets(stored);
}

async function updateRule(
  { alerts, config }: RuleHandlersDeps,
  request: Parameters<Handlers["updateAlertRule"]>[0],
  context: CallContext,
): ReturnType<Handlers["updateAlertRule"]> {
  const message = request.alertRule ?? create(AlertRuleSchema);
  const { name, etag } = message;
  authorize(name, "alert_rule.name", context);
  const paths = maskedPaths(request.updateMask, RULE_PATHS);
  let before: readonly string[] = [];
  const stored = await updateDocument(alerts.rules, { name, etag }, (current) => {
    before = current.webhooks.map(({ url }) => url);
    const next = changed(current, message, { paths, config });
    return { ...next, updateTime: alerts.now() };
  });
  const made = stored.webhooks.filter(({ url, isMade }) => isMade && !before.includes(url));
  return toRule(stored, new Set(made.map(({ url }) => url)));
}

/** The rule with the masked fields of the message; what is outside the mask is not looked at. */
function changed(
  current: AlertRuleRecord,
  message: AlertRule,
  options: {
    readonly paths: ReadonlySet<RulePath>;
    readonly config: Pick<MonitoringConfig, "webhookHosts">;
  },
): AlertRuleRecord {
  const faults = new RequestFaults();
  const isSame = message.deployment === "" || message.deployment === current.deployment;
  faults.check(isSame, "alert_rule.deployment", `is ${current.deployment} and cannot change`);
  const parsing = { faults, hosts: options.config.webhookHosts, known: current.webhooks };
  const next = { ...current, ...parseFields(message, parsing, options.paths) };
  checkTogether(next, faults);
  faults.done();
  return next;
}

/** A caller who did not get the first answer has no other way to the secrets made for it. */
function withMadeSecrets(rule: Stored<AlertRuleRecord>) {
  const made = rule.webhooks.filter(({ isMade }) => isMade);
  return toRule(rule, new Set(made.map(({ url }) => url)));
}

/** @throws NotFound; Unavailable while the registry is away. */
async function requireDeployment(
  deployments: Client<typeof DeploymentService> | undefined,
  name: string,
  parent: CallContext,
): Promise<void> {
  try {
    await deployments?.getDeployment({ name }, { parent });
  } catch (error) {
    throw error instanceof NotFound ? notFound(name, "Deploy it first.") : error;
  }
}

function authorize(name: string, field: string, context: CallContext): void {
  const { workspace } = alertRuleName.parse(name, field);
  requireWorkspace(context.principal, workspace);
}
