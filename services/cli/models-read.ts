// `plinth models list|versions|show`: reads, and prints a table or JSON.

import { create } from "@bufbuild/protobuf";
import {
  ListModelVersionsResponseSchema,
  ListRegisteredModelsResponseSchema,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelVersion,
  ModelVersionSchema,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import {
  type RegisteredModel,
  RegisteredModelSchema,
} from "../../gen/plinth/registry/v1/registered_model_pb.js";
import {
  approvalText,
  formatTime,
  pairsText,
  signatureLines,
  stateText,
  toneOfState,
} from "./format.ts";
import { circuitLines } from "./models-circuits.ts";
import { modelHealthLines } from "./monitor-health.ts";
import { formatBytes } from "./progress.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines } from "./table.ts";
import { parseModel, parseReference, parseVersion, shortName } from "./version-reference.ts";

/** A model of images has hundreds; --json shows all. */
const COLUMNS_SHOWN_MAX = 12;

interface ListOptions {
  readonly filter?: string;
  readonly orderBy?: string;
  readonly limit: number;
}

/** `plinth models list` */
export async function listModels(
  session: Session,
  _args: readonly [],
  options: ListOptions,
): Promise<void> {
  const { output } = session;
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.models.listRegisteredModels(
        { parent: session.parent, ...terms(options), ...page },
        session.call,
      ),
    items: (response) => response.registeredModels,
  });
  if (output.json) {
    const all = create(ListRegisteredModelsResponseSchema, { registeredModels: [...items] });
    return output.message(ListRegisteredModelsResponseSchema, all);
  }
  output.table(
    [
      { title: "MODEL" },
      { title: "LATEST", align: "right" },
      { title: "ALIASES" },
      { title: "UPDATED" },
      { title: "DESCRIPTION" },
    ],
    items.map((model) => [
      shortName(model.name),
      model.latestVersion === 0n ? "none" : String(model.latestVersion),
      pairsText(model.aliases),
      formatTime(model.updateTime),
      model.description,
    ]),
    `No models in ${session.parent}. Register one with "plinth models push <model> <file.onnx>".`,
  );
  noteMore(session, more);
}

/** `plinth models versions` */
export async function listVersions(
  session: Session,
  [model]: readonly [string],
  options: ListOptions,
): Promise<void> {
  const { output } = session;
  const parent =
    model === "-" ? `${session.parent}/models/-` : parseModel(model, session.workspace);
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.models.listModelVersions({ parent, ...terms(options), ...page }, session.call),
    items: (response) => response.modelVersions,
  });
  if (output.json) {
    const all = create(ListModelVersionsResponseSchema, { modelVersions: [...items] });
    return output.message(ListModelVersionsResponseSchema, all);
  }
  output.table(
    [
      { title: "VERSION" },
      { title: "STATE" },
      { title: "APPROVAL" },
      { title: "ALIASES" },
      { title: "METRICS" },
      { title: "CREATED" },
      { title: "SIZE", align: "right" },
    ],
    items.map((version) => [
      shortName(version.name),
      stateText(version),
      approvalText(version),
      version.aliases.join(" "),
      pairsText(version.metrics),
      formatTime(version.createTime),
      version.artifact === undefined ? "" : formatBytes(Number(version.artifact.sizeBytes)),
    ]),
    "No versions match.",
  );
  noteMore(session, more);
}

/** `plinth models show` */
export async function showModel(session: Session, [text]: readonly [string]): Promise<void> {
  const { output } = session;
  const reference = parseReference(text, session.workspace);
  if (reference.version === undefined) {
    const model = await session.models.getRegisteredModel({ name: reference.model }, session.call);
    return output.json
      ? output.message(RegisteredModelSchema, model)
      : output.lines(modelFacts(model));
  }
  const name = parseVersion(text, session.workspace);
  const version = await session.models.getModelVersion({ name }, session.call);
  if (output.json) {
    return output.message(ModelVersionSchema, version);
  }
  output.lines(versionLines(session, version));
}

/** Everything worth knowing of a version, for a terminal. */
export function versionLines(session: Session, version: ModelVersion): readonly string[] {
  const { lineage, artifact, graph, approvalRecord } = version;
  const decision =
    approvalRecord === undefined
      ? approvalText(version)
      : `${approvalText(version)} by ${approvalRecord.actor}, ${formatTime(approvalRecord.time)}` +
        (approvalRecord.comment === "" ? "" : `: ${approvalRecord.comment}`);
  const facts = factLines([
    ["version", version.name],
    ["state", stateText(version)],
    ["failure", version.failure && `${version.failure.reason}: ${version.failure.message}`],
    ["approval", decision],
    ["aliases", version.aliases.join(" ")],
    ["description", version.description],
    ["created", formatTime(version.createTime)],
    [
      "file",
      artifact && `${artifact.fileName || "(unnamed)"}, ${formatBytes(Number(artifact.sizeBytes))}`,
    ],
    ["sha256", artifact?.sha256],
    ["graph", graph && graphText(graph)],
    ["metrics", pairsText(version.metrics)],
    ["parameters", pairsText(version.parameters)],
    ["tags", pairsText(version.tags)],
    ["columns", columnsText(version.columns)],
    ["labels", version.classLabels.join(", ")],
    ["source run", lineage?.sourceRun],
    ["source revision", lineage?.sourceRevision],
    ["datasets", lineage?.trainingDatasets.join(", ")],
    ["features", version.featureService || lineage?.featureService],
    ["parent version", lineage?.parentVersion],
  ]);
  const state = stateText(version);
  const toned = facts.map((line) =>
    line.startsWith("state:") ? line.replace(state, toneOfState(session.output, state)) : line,
  );
  const { signature, health, circuits } = version;
  return [
    ...toned,
    ...(signature === undefined ? [] : ["", ...signatureLines(signature)]),
    ...circuitLines(session.output, circuits),
    ...modelHealthLines(session.output, health),
  ];
}

function modelFacts(model: RegisteredModel): readonly string[] {
  return factLines([
    ["model", model.name],
    ["description", model.description],
    ["latest version", model.latestVersion === 0n ? "none" : String(model.latestVersion)],
    ["aliases", pairsText(model.aliases)],
    ["tags", pairsText(model.tags)],
    ["created", formatTime(model.createTime)],
    ["updated", formatTime(model.updateTime)],
    ["archived", formatTime(model.archiveTime)],
  ]);
}

/** All of a few, the first of many. */
function columnsText(columns: readonly string[]): string {
  const rest = columns.length - COLUMNS_SHOWN_MAX;
  const shown = columns.slice(0, COLUMNS_SHOWN_MAX).join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function graphText(graph: NonNullable<ModelVersion["graph"]>): string {
  const opsets = Object.entries(graph.opsets).map(([domain, version]) => `${domain} ${version}`);
  const parts = [
    `opset ${opsets.join(", ")}`,
    `IR ${graph.irVersion}`,
    `${graph.parameterCount} parameters`,
  ];
  return [...parts, graph.producer].filter((part) => part !== "").join("; ");
}

function terms(options: ListOptions): { filter: string; orderBy: string } {
  return { filter: options.filter ?? "", orderBy: options.orderBy ?? "" };
}
