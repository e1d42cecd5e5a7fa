// `plinth features list`: what the workspace defines, kind by kind.

import type { JsonValue } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { EntitySchema } from "../../gen/plinth/features/v1/entity_pb.js";
import { FeatureServiceSchema } from "../../gen/plinth/features/v1/feature_service_pb.js";
import { FeatureViewSchema } from "../../gen/plinth/features/v1/feature_view_pb.js";
import { OnDemandFeatureViewSchema } from "../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import { typeName } from "./features-cells.ts";
import { KINDS, type Kind, kindOf } from "./features-names.ts";
import { ageText } from "./features-times.ts";
import { formatTime } from "./format.ts";
import { messageJson } from "./output.ts";
import { counted } from "./progress.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { shortName } from "./version-reference.ts";

interface ListOptions {
  readonly kind?: string;
  readonly limit: number;
}

/** What a list shows of one definition. */
interface Listed {
  readonly kind: Kind;
  readonly name: string;
  readonly version?: bigint;
  /** What it is made of. */
  readonly holds: string;
  readonly updateTime: Timestamp | undefined;
  readonly description: string;
  readonly json: () => Promise<JsonValue>;
}

interface Page {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** `plinth features list` */
export async function listDefinitions(
  session: Session,
  _args: readonly [],
  options: ListOptions,
): Promise<void> {
  const { output } = session;
  const kinds = options.kind === undefined ? KINDS : [kindOf(options.kind)];
  const found: Listed[] = [];
  let more = false;
  for (const kind of kinds) {
    const limit = options.limit - found.length;
    const listed = limit > 0 ? await listKind(session, kind, limit) : { items: [], more: true };
    found.push(...listed.items);
    more ||= listed.more;
  }
  if (output.json) {
    output.value(await jsonByKind(found, kinds));
  } else {
    output.table(
      ["KIND", "NAME", "VERSION", "HOLDS", "UPDATED", "DESCRIPTION"].map((title) => ({ title })),
      found.map((one) => [
        one.kind,
        shortName(one.name),
        one.version === undefined ? "" : String(one.version),
        one.holds,
        formatTime(one.updateTime),
        one.description,
      ]),
      `No definitions in ${session.parent}. Make some with "plinth features apply <file.yaml>".`,
    );
  }
  noteMore(session, more);
}

const JSON_KEYS: Readonly<Record<Kind, string>> = {
  entity: "entities",
  view: "featureViews",
  "on-demand": "onDemandFeatureViews",
  service: "featureServices",
};

async function jsonByKind(found: readonly Listed[], kinds: readonly Kind[]) {
  const lists: Record<string, JsonValue> = {};
  for (const kind of kinds) {
    const own = found.filter((one) => one.kind === kind);
    lists[JSON_KEYS[kind]] = await Promise.all(own.map((one) => one.json()));
  }
  return lists;
}

function listKind(
  session: Session,
  kind: Kind,
  limit: number,
): Promise<{ readonly items: readonly Listed[]; readonly more: boolean }> {
  switch (kind) {
    case "entity":
      return listEntities(session, limit);
    case "view":
      return listViews(session, limit);
    case "on-demand":
      return listOnDemand(session, limit);
    case "service":
      return listServices(session, limit);
  }
}

function listEntities(session: Session, limit: number) {
  return listAll({
    limit,
    page: (page: Page) =>
      session.features.listEntities({ parent: session.parent, ...page }, session.call),
    items: (response) =>
      response.entities.map((entity): Listed => {
        const { name, updateTime, description } = entity;
        const keys = entity.joinKeys.map((key) => `${key.name} ${typeName(key.valueType)}`);
        const json = () => messageJson(EntitySchema, entity);
        return { kind: "entity", name, holds: keys.join(", "), updateTime, description, json };
      }),
  });
}

function listViews(session: Session, limit: number) {
  return listAll({
    limit,
    page: (page: Page) =>
      session.features.listFeatureViews({ parent: session.parent, ...page }, session.call),
    items: (response) =>
      response.featureViews.map((view): Listed => {
        const { name, version, updateTime, description, ttl } = view;
        const ttlText =
          ttl === undefined || ttl.seconds === 0n ? "" : `, ttl ${ageText(Number(ttl.seconds))}`;
        const holds = `${counted(view.features.length, "feature")} of ${view.entities.join(", ")}${ttlText}`;
        const json = () => messageJson(FeatureViewSchema, view);
        return { kind: "view", name, version, holds, updateTime, description, json };
      }),
  });
}

function listOnDemand(session: Session, limit: number) {
  return listAll({
    limit,
    page: (page: Page) =>
      session.features.listOnDemandFeatureViews({ parent: session.parent, ...page }, session.call),
    items: (response) =>
      response.onDemandFeatureViews.map((view): Listed => {
        const { name, version, updateTime, description } = view;
        const holds = `${counted(view.features.length, "feature")} from ${counted(view.inputs.length, "input")}`;
        const json = () => messageJson(OnDemandFeatureViewSchema, view);
        return { kind: "on-demand", name, version, holds, updateTime, description, json };
      }),
  });
}

function listServices(session: Session, limit: number) {
  return listAll({
    limit,
    page: (page: Page) =>
      session.features.listFeatureServices({ parent: session.parent, ...page }, session.call),
    items: (response) =>
      response.featureServices.map((service): Listed => {
        const { name, version, updateTime, description } = service;
        const views = new Set(service.projections.map(({ featureView }) => featureView));
        const holds = `${counted(service.outputFeatures.length, "feature")} of ${counted(views.size, "view")}`;
        const json = () => messageJson(FeatureServiceSchema, service);
        return { kind: "service", name, version, holds, updateTime, description, json };
      }),
  });
}
