// `plinth features describe`: everything of one definition; of a view also what the stores hold.
// As JSON it is what `plinth features apply` takes.

import type { Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Duration, Value } from "@bufbuild/protobuf/wkt";
import { type Entity, EntitySchema } from "../../gen/plinth/features/v1/entity_pb.js";
import {
  type FeatureService,
  FeatureServiceSchema,
} from "../../gen/plinth/features/v1/feature_service_pb.js";
import {
  type FeatureView,
  FeatureViewSchema,
  type FeatureViewStatus,
  FeatureViewStatusSchema,
} from "../../gen/plinth/features/v1/feature_view_pb.js";
import {
  type OnDemandFeatureView,
  OnDemandFeatureViewSchema,
} from "../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import { typeName } from "./features-cells.ts";
import { findDefinition } from "./features-find.ts";
import { ageText, exactTime } from "./features-times.ts";
import type { Typed } from "./features-views.ts";
import { formatTime, pairsText } from "./format.ts";
import { viewHealthLines } from "./monitor-health.ts";
import { messageJson } from "./output.ts";
import { counted, formatBytes } from "./progress.ts";
import type { Session } from "./session.ts";
import { type Column, factLines, tableLines } from "./table.ts";

/** Versions that are told; older ones can be asked for by number. */
const VERSIONS_SHOWN_MAX = 10;

/** `plinth features describe` */
export async function describeDefinition(
  session: Session,
  [text]: readonly [string],
): Promise<void> {
  const found = await findDefinition(session, text);
  switch (found.kind) {
    case "entity":
      return print(session, EntitySchema, found.definition, entityLines(found.definition));
    case "view": {
      const name = found.definition.name.replace(/\/versions\/.*$/, "");
      const status = await session.features.getFeatureViewStatus({ name }, session.call);
      const lines = [
        ...viewLines(found.definition),
        "",
        ...statusLines(status),
        ...viewHealthLines(status.health),
        ...(await versionLines(session, found)),
      ];
      return print(session, FeatureViewSchema, found.definition, lines, {
        status: await messageJson(FeatureViewStatusSchema, status),
      });
    }
    case "on-demand":
      return print(session, OnDemandFeatureViewSchema, found.definition, [
        ...onDemandLines(found.definition),
        ...(await versionLines(session, found)),
      ]);
    case "service":
      return print(session, FeatureServiceSchema, found.definition, [
        ...serviceLines(found.definition),
        ...(await versionLines(session, found)),
      ]);
  }
}

async function print<M extends Message>(
  session: Session,
  schema: GenMessage<M>,
  message: M,
  lines: readonly string[],
  more: Readonly<Record<string, Awaited<ReturnType<typeof messageJson>>>> = {},
): Promise<void> {
  if (!session.output.json) {
    return session.output.lines(lines);
  }
  const json = await messageJson(schema, message as never);
  session.output.value({ kind: schema.name, ...(json as object), ...more });
}

interface About {
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly createTime?: Entity["createTime"];
  readonly updateTime?: Entity["updateTime"];
}

function aboutFacts(about: About): readonly (readonly [string, string | undefined])[] {
  return [
    ["description", about.description],
    ["owner", about.owner],
    ["tags", pairsText(about.tags)],
    ["created", formatTime(about.createTime)],
    ["updated", formatTime(about.updateTime)],
  ];
}

function entityLines(entity: Entity): readonly string[] {
  return factLines([
    ["entity", entity.name],
    ["join keys", fieldsText(entity.joinKeys)],
    ...aboutFacts(entity),
  ]);
}

function viewLines(view: FeatureView): readonly string[] {
  const { source } = view;
  const stores = [view.online !== false && "online", view.offline !== false && "offline"];
  const mapping = Object.entries(source?.fieldMapping ?? {}).map(([from, to]) => `${from}=${to}`);
  const columns: Column[] = ["FEATURE", "TYPE", "DEFAULT", "DESCRIPTION"].map((title) => ({
    title,
  }));
  return [
    ...factLines([
      ["feature view", view.name],
      ["version", String(view.version)],
      ["entities", view.entities.join(", ")],
      ["ttl", ttlText(view.ttl)],
      ["stores", stores.filter((store) => store !== false).join(", ")],
      ["event time", source?.eventTimestampColumn],
      ["creation time", source?.createdTimestampColumn],
      ["columns", mapping.join(" ")],
      ...aboutFacts(view),
    ]),
    "",
    ...tableLines(
      columns,
      view.features.map((feature) => [
        feature.name,
        typeName(feature.valueType),
        valueText(feature.defaultValue),
        feature.description,
      ]),
    ),
  ];
}

function statusLines(status: FeatureViewStatus): readonly string[] {
  const { offlineRows, offlineFiles, offlineBytes, pendingRows, unmaterializedRows } = status;
  const files = counted(offlineFiles, "file");
  const history =
    offlineFiles === 0
      ? "none yet"
      : `${counted(Number(offlineRows), "row")} in ${files}, ${formatBytes(Number(offlineBytes))}`;
  const span =
    status.oldestEventTime === undefined
      ? ""
      : `${exactTime(status.oldestEventTime)} to ${exactTime(status.newestEventTime)}`;
  const materialized =
    status.materializeTime === undefined ? "never" : formatTime(status.materializeTime);
  return factLines([
    ["history", history],
    ["event times", span],
    [
      "pending",
      pendingRows === 0n ? "" : `${counted(Number(pendingRows), "row")}, not in files yet`,
    ],
    ["materialised", materialized],
    ["to materialise", unmaterializedRows === 0n ? "" : counted(Number(unmaterializedRows), "row")],
  ]);
}

function onDemandLines(view: OnDemandFeatureView): readonly string[] {
  const columns: Column[] = ["FEATURE", "TYPE", "EXPRESSION"].map((title) => ({ title }));
  return [
    ...factLines([
      ["on-demand view", view.name],
      ["version", String(view.version)],
      ["inputs", fieldsText(view.inputs)],
      ...aboutFacts(view),
    ]),
    "",
    ...tableLines(
      columns,
      view.features.map((one) => [one.name, typeName(one.valueType), one.expression]),
    ),
  ];
}

function serviceLines(service: FeatureService): readonly string[] {
  const projections = service.projections.map((one) => {
    const keys = Object.entries(one.joinKeys).map(([key, column]) => `${key}=${column}`);
    return `${one.featureView}@${one.version}${keys.length === 0 ? "" : ` by ${keys.join(" ")}`}`;
  });
  const columns: Column[] = ["FEATURE", "TYPE", "VIEW", "DEFAULT"].map((title) => ({ title }));
  const rate = service.loggingSampleRate;
  return [
    ...factLines([
      ["feature service", service.name],
      ["version", String(service.version)],
      ["asked with", fieldsText(service.requestColumns)],
      ["reads", projections.join(", ")],
      ["kept reads", rate === 0 ? "none" : `${rate * 100}%`],
      ...aboutFacts(service),
    ]),
    "",
    ...tableLines(
      columns,
      service.outputFeatures.map((one) => [
        one.name,
        typeName(one.valueType),
        `${one.featureView}@${one.version}`,
        valueText(one.defaultValue),
      ]),
    ),
  ];
}

/** The versions before this one, newest first; deleted ones are left out. */
async function versionLines(
  session: Session,
  found: Exclude<Awaited<ReturnType<typeof findDefinition>>, { kind: "entity" }>,
): Promise<readonly string[]> {
  const { version } = found.definition;
  const name = found.definition.name.replace(/\/versions\/.*$/, "");
  const numbers = Array.from({ length: VERSIONS_SHOWN_MAX }, (_, index) => version - BigInt(index));
  const rows = await Promise.all(
    numbers
      .filter((number) => number > 0n && version > 1n)
      .map((number) => versionRow(session, found.kind, `${name}/versions/${number}`)),
  );
  const known = rows.filter((row) => row !== undefined);
  const columns: Column[] = ["VERSION", "CREATED", "FEATURES"].map((title) => ({ title }));
  return known.length < 2 ? [] : ["", ...tableLines(columns, known)];
}

async function versionRow(
  session: Session,
  kind: "view" | "on-demand" | "service",
  name: string,
): Promise<readonly string[] | undefined> {
  const { NotFound } = await import("../common/errors/domain-error.ts");
  try {
    const found = await findDefinition(session, name);
    if (found.kind === "entity" || found.kind !== kind) {
      return undefined;
    }
    const features =
      found.kind === "service" ? found.definition.outputFeatures : found.definition.features;
    const { version, updateTime } = found.definition;
    return [String(version), formatTime(updateTime), features.map((one) => one.name).join(", ")];
  } catch (error) {
    if (error instanceof NotFound) {
      return undefined;
    }
    throw error;
  }
}

function fieldsText(fields: readonly Typed[]): string {
  return fields.map((field) => `${field.name} ${typeName(field.valueType)}`).join(", ");
}

function ttlText(ttl: Duration | undefined): string {
  return ttl === undefined || (ttl.seconds === 0n && ttl.nanos === 0)
    ? "none: rows are good forever"
    : ageText(Number(ttl.seconds) + ttl.nanos / 1e9);
}

function valueText(value: Value | undefined): string {
  return value === undefined || value.kind.case === "nullValue" ? "" : String(value.kind.value);
}
