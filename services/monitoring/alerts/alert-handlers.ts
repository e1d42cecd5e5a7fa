// The handlers of AlertService.

import { Alert_State } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { AlertService } from "../../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { alertName, deploymentName, workspaceName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import { phaseOf, toAlert } from "./convert-alert.ts";
import { type RuleHandlersDeps, ruleHandlers } from "./rule-handlers.ts";
import { watchAlerts } from "./watch-alerts.ts";

const COMMENT_LENGTH_MAX = 2000;
const STATES_MAX = 8;

export type AlertHandlersDeps = RuleHandlersDeps;

/** Handlers over the alerts' store. `stopping` ends the watches; absent: their readers do. */
export function alertHandlers(
  deps: AlertHandlersDeps,
  stopping?: AbortSignal,
): ServiceHandlers<typeof AlertService> {
  const { alerts } = deps;
  return {
    ...ruleHandlers(deps),

    async getAlert({ name }, context) {
      authorize(name, context);
      return toAlert(await alerts.get(name));
    },

    async listAlerts(request, context) {
      const { parent, deployment, states, pageSize, pageToken } = request;
      const workspace = parentOf(parent, context);
      const faults = new RequestFaults();
      const parsed = deploymentName.match(deployment);
      const isOwn = deployment === "" || parsed?.workspace === workspace;
      faults.check(isOwn, "deployment", `must be empty or a deployment of ${parent}`);
      faults.check(states.length <= STATES_MAX, "states", `has more than ${STATES_MAX} entries`);
      const phases = states.slice(0, STATES_MAX).flatMap((state, i) => {
        const phase = phaseOf(state);
        const known = "must be PENDING, FIRING or RESOLVED";
        faults.check(
          phase !== undefined,
          `states[${i}]`,
          `is ${Alert_State[state] ?? state}; ${known}`,
        );
        return phase ?? [];
      });
      faults.done();
      const { signal } = context;
      const query = { workspace, deployment, phases, pageSize, pageToken, signal };
      const page = await alerts.list(query);
      return { alerts: page.items.map(toAlert), nextPageToken: page.nextPageToken };
    },

    async acknowledgeAlert({ name, comment }, context) {
      authorize(name, context);
      const faults = new RequestFaults();
      faults.text("comment", comment, COMMENT_LENGTH_MAX);
      faults.done();
      return toAlert(await alerts.acknowledge(name, { actor: context.principal.id, comment }));
    },

    async *watchAlerts({ parent, resumeToken }, context) {
      const workspace = parentOf(parent, context);
      const signals = stopping === undefined ? [] : [stopping];
      const signal = AbortSignal.any([context.signal, ...signals]);
      yield* watchAlerts(alerts, { workspace, resumeToken, signal });
    },
  };
}

function parentOf(parent: string, context: CallContext): string {
  const { workspace } = workspaceName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  return workspace;
}

function authorize(name: string, context: CallContext): void {
  requireWorkspace(context.principal, alertName.parse(name, "name").workspace);
}
