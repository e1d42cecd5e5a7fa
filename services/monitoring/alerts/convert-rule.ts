// Alert rules to messages. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AlertRuleSchema } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { durationOf } from "../../common/duration.ts";
import { etagOf } from "../../common/etag.ts";
import type { AlertRuleRecord, Condition } from "./alert-rule.ts";

type RuleMessage = MessageInitShape<typeof AlertRuleSchema>;

/** A rule as callers see it; of the secrets only those of the urls in `shown`. */
export function toRule(
  rule: Stored<AlertRuleRecord>,
  shown: ReadonlySet<string> = new Set(),
): RuleMessage {
  return {
    name: rule._id,
    uid: rule.uid,
    createTime: timestampFromDate(rule.createTime),
    updateTime: timestampFromDate(rule.updateTime),
    etag: etagOf(rule.uid, rule.version),
    description: rule.description,
    deployment: rule.deployment,
    scope: rule.scope,
    metric: { ...rule.metric, rowsMin: BigInt(rule.metric.rowsMin) },
    condition: toCondition(rule.condition),
    ...(rule.forMs === 0 ? {} : { forDuration: durationOf(rule.forMs) }),
    ...(rule.coolDownMs === 0 ? {} : { coolDown: durationOf(rule.coolDownMs) }),
    severity: rule.severity,
    webhooks: rule.webhooks.map(({ url, secret }) => ({
      url,
      secret: shown.has(url) ? secret : "",
    })),
    actions: rule.actions.map((kind) => ({ kind })),
    disabled: rule.disabled,
  };
}

function toCondition(condition: Condition): NonNullable<RuleMessage["condition"]> {
  switch (condition.kind) {
    case "threshold": {
      const { comparison, value } = condition;
      return { case: "threshold", value: { comparison, value } };
    }
    case "baseline": {
      const { comparison, factor, offset } = condition;
      const own = factor === null ? {} : { factor };
      return { case: "baseline", value: { comparison, offset, ...own } };
    }
    case "sigma": {
      const { k, windows, comparison } = condition;
      return { case: "sigma", value: { k, windows, comparison } };
    }
  }
}
