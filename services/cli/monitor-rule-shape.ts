// From what a file says to alert rules: short forms written out, every fault noted with its place.
// What only the server knows (whether the deployment exists, which hosts a webhook may have) is its
// to check.

import { create } from "@bufbuild/protobuf";
import {
  type AlertAction_Kind as ActionKind,
  type AlertRule,
  AlertRuleSchema,
  type AlertScope,
  type AlertSeverity,
  Metric_Kind as Kind,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import {
  durationValueOf,
  type Fields,
  fieldsOf,
  flagOf,
  type Keys,
  missing,
  numberOf,
  text,
  textOf,
} from "./features-fields.ts";
import { type Entry, type Fault, type Tree, whatCame } from "./features-tree.ts";
import {
  ACTIONS,
  BASELINE_METRICS,
  COLUMN_METRICS,
  METRICS,
  SCOPES,
  SEVERITIES,
  type Words,
} from "./monitor-alert-words.ts";
import { CONDITIONS, conditionOf } from "./monitor-rule-condition.ts";

/** A rule of a file and where it stands. */
export interface ShapedRule {
  readonly tree: Tree;
  readonly id: string;
  readonly rule: AlertRule;
}

const KEYS: Keys = {
  name: [],
  deployment: [],
  description: [],
  scope: [],
  metric: [],
  column: [],
  q: ["quantile"],
  rowsMin: [],
  ...CONDITIONS,
  forDuration: ["for"],
  coolDown: [],
  severity: [],
  webhooks: ["webhook"],
  actions: ["action"],
  disabled: [],
};

/** What `rules describe --json` shows and a file need not say. */
const SET_BY_SERVER = ["uid", "createTime", "updateTime", "etag"];

const METRIC: Keys = { kind: [], column: [], q: ["quantile"], rowsMin: [] };
const WEBHOOK: Keys = { url: [], secret: [] };
const ACTION: Keys = { kind: [] };

const ID = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;
const WEBHOOKS_MAX = 10;
const ACTIONS_MAX = 4;

/** Where rules live that do not say it themselves. */
export interface RuleDefaults {
  /** `workspaces/default` */
  readonly parent: string;
  /** Of the file. */
  readonly deployment?: Entry | undefined;
}

/** The rules of a document: one, a list, or {deployment, rules}. */
export function rulesOf(
  tree: Tree,
  defaults: RuleDefaults,
  faults: Fault[],
): readonly ShapedRule[] {
  if (tree.kind === "list") {
    return tree.items.flatMap((item) => rulesOf(item, defaults, faults));
  }
  const list =
    tree.kind === "map"
      ? tree.entries.find(({ key }) => /^(?:alert_?)?rules$/i.test(key))
      : undefined;
  if (list === undefined) {
    return ruleOf(tree, defaults, faults) ?? [];
  }
  const keys = { rules: ["alertRules"], deployment: [] };
  const fields = fieldsOf(
    tree,
    { what: "a file of rules", keys, ignored: ["nextPageToken"] },
    faults,
  );
  if (list.value.kind !== "list") {
    const came = whatCame(list.value);
    return (
      missing(list.value.at, `${list.key}: expected a list of rules, got ${came}`, faults) ?? []
    );
  }
  const deployment = fields?.get("deployment") ?? defaults.deployment;
  return list.value.items.flatMap((item) => rulesOf(item, { ...defaults, deployment }, faults));
}

function ruleOf(
  tree: Tree,
  defaults: RuleDefaults,
  faults: Fault[],
): readonly ShapedRule[] | undefined {
  const what = { what: "a rule", keys: KEYS, ignored: SET_BY_SERVER };
  const fields = fieldsOf(tree, what, faults);
  if (fields === undefined) {
    return undefined;
  }
  const id = idOf(tree, fields, faults);
  const metric = metricOf(tree, fields, faults);
  const condition = conditionOf(tree, fields, faults);
  if (
    condition?.case === "baseline" &&
    metric !== undefined &&
    !BASELINE_METRICS.has(metric.kind)
  ) {
    const known = [...METRICS].filter(([, kind]) => BASELINE_METRICS.has(kind));
    const names = known.map(([word]) => word).join(", ");
    missing(tree.at, `only ${names} can be held against the baseline`, faults);
  }
  const forDuration = durationValueOf(fields.get("forDuration"), faults);
  const coolDown = durationValueOf(fields.get("coolDown"), faults);
  const rule = create(AlertRuleSchema, {
    name: `${defaults.parent}/alertRules/${id ?? ""}`,
    deployment: deploymentOf(tree, fields, defaults, faults),
    description: textOf(fields.get("description"), faults) ?? "",
    scope: wordAt(fields.get("scope"), SCOPES, faults) as AlertScope,
    severity: wordAt(fields.get("severity"), SEVERITIES, faults) as AlertSeverity,
    webhooks: webhooksOf(fields.get("webhooks"), faults),
    actions: actionsOf(fields.get("actions"), faults),
    disabled: flagOf(fields.get("disabled"), faults) ?? false,
    ...(metric === undefined ? {} : { metric }),
    ...(condition === undefined ? {} : { condition }),
    ...(forDuration === undefined ? {} : { forDuration }),
    ...(coolDown === undefined ? {} : { coolDown }),
  });
  return id === undefined ? undefined : [{ tree, id, rule }];
}

function idOf(tree: Tree, fields: Fields, faults: Fault[]): string | undefined {
  const entry = fields.get("name");
  const name = textOf(entry, faults);
  if (entry === undefined) {
    return missing(tree.at, "the rule has no name", faults);
  }
  const id = name?.split("/").at(-1) ?? "";
  return name === undefined || ID.test(id)
    ? name && id
    : missing(
        entry.value.at,
        `name: expected letters, digits, ".", "_" and "-", got "${name}"`,
        faults,
      );
}

function deploymentOf(tree: Tree, fields: Fields, defaults: RuleDefaults, faults: Fault[]): string {
  const entry = fields.get("deployment") ?? defaults.deployment;
  const said = textOf(entry, faults);
  if (entry === undefined) {
    missing(tree.at, "the rule has no deployment; say it here, or once beside rules:", faults);
  }
  return said === undefined || said.startsWith("workspaces/")
    ? (said ?? "")
    : `${defaults.parent}/deployments/${said}`;
}

/** `metric: accuracy`, with column, q and rows_min beside it or in a map of its own. */
function metricOf(tree: Tree, fields: Fields, faults: Fault[]) {
  const entry = fields.get("metric");
  if (entry === undefined) {
    return missing(tree.at, "the rule has no metric", faults);
  }
  const own =
    entry.value.kind === "map"
      ? fieldsOf(entry.value, { what: "a metric", keys: METRIC }, faults)
      : undefined;
  const at = (key: string): Entry | undefined => own?.get(key) ?? fields.get(key);
  const named = own === undefined ? entry : own.get("kind");
  if (named === undefined) {
    return missing(entry.value.at, "the metric has no kind", faults);
  }
  const kind = wordAt(named, METRICS, faults) as Kind;
  if (kind === Kind.UNSPECIFIED) {
    return undefined;
  }
  const column = textOf(at("column"), faults) ?? "";
  const q = numberOf(at("q"), { whole: false }, faults) ?? 0;
  const rowsMin = BigInt(numberOf(at("rowsMin"), { whole: true }, faults) ?? 0);
  const word = named.value.kind === "scalar" ? String(named.value.value) : "";
  if (COLUMN_METRICS.has(kind) && column === "") {
    missing(entry.value.at, `${word} needs a column: its name, or "*" for each of them`, faults);
  }
  if (!COLUMN_METRICS.has(kind) && column !== "") {
    missing(at("column")?.at ?? entry.at, `${word} is of no column`, faults);
  }
  if (kind === Kind.QUANTILE && (at("q") === undefined || q < 0 || q > 1)) {
    missing(at("q")?.value.at ?? entry.value.at, `${word} needs q, a number from 0 to 1`, faults);
  }
  return { kind, column, q, rowsMin };
}

/** A word of a set by its name in any case, or as protobuf's JSON has it; 0 where there is none. */
function wordAt(entry: Entry | undefined, words: Words, faults: Fault[]): number {
  const said = textOf(entry, faults);
  return entry === undefined || said === undefined ? 0 : wordIn(entry, said, words, faults);
}

function wordIn(
  entry: Pick<Entry, "key" | "value">,
  said: string,
  words: Words,
  faults: Fault[],
): number {
  const word = said.toLowerCase().replace(/^(?:kind|alert_severity|alert_scope)_/, "");
  const value = words.get(word);
  if (value !== undefined || word === "unspecified") {
    return value ?? 0;
  }
  const known = [...words.keys()];
  const hint = didYouMean(word, known) || ` It is one of ${known.join(", ")}`;
  missing(entry.value.at, `${entry.key}: there is no "${said}".${hint}`, faults);
  return 0;
}

/** A URL, a list of them, or of {url, secret}. */
function webhooksOf(entry: Entry | undefined, faults: Fault[]) {
  const hooks = itemsOf(entry).flatMap((item) => {
    const fields =
      item.kind === "map"
        ? fieldsOf(item, { what: "a webhook", keys: WEBHOOK }, faults)
        : undefined;
    const named = fields?.get("url");
    const url = fields === undefined ? text(item, "webhook", faults) : textOf(named, faults);
    if (item.kind === "map" && named === undefined) {
      missing(item.at, "the webhook has no url", faults);
    }
    if (url !== undefined && !/^https?:\/\/[^\s/]/.test(url)) {
      missing(
        (named?.value ?? item).at,
        `webhook: expected an http or https URL, got "${url}"`,
        faults,
      );
    }
    const secret = textOf(fields?.get("secret"), faults) ?? "";
    return url === undefined ? [] : [{ url, secret }];
  });
  if (entry !== undefined && hooks.length > WEBHOOKS_MAX) {
    missing(entry.at, `${entry.key}: at most ${WEBHOOKS_MAX}`, faults);
  }
  return hooks;
}

/** A word, a list of them, or of {kind}. */
function actionsOf(entry: Entry | undefined, faults: Fault[]) {
  const actions = itemsOf(entry).flatMap((item) => {
    const kind =
      item.kind === "map"
        ? fieldsOf(item, { what: "an action", keys: ACTION }, faults)?.get("kind")?.value
        : item;
    const said = kind === undefined ? undefined : text(kind, "action", faults);
    if (kind === undefined || said === undefined) {
      return [];
    }
    const value = wordIn({ key: "action", value: kind }, said, ACTIONS, faults);
    return value === 0 ? [] : [{ kind: value as ActionKind }];
  });
  if (entry !== undefined && actions.length > ACTIONS_MAX) {
    missing(entry.at, `${entry.key}: at most ${ACTIONS_MAX}`, faults);
  }
  return actions;
}

function itemsOf(entry: Entry | undefined): readonly Tree[] {
  return entry === undefined ? [] : entry.value.kind === "list" ? entry.value.items : [entry.value];
}
