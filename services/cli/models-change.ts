// `plinth models approve|reject|alias|archive|restore|delete`: one call each, and a line that says
// what is so now.

import {
  type ModelVersion,
  ModelVersionSchema,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import {
  type RegisteredModel,
  RegisteredModelSchema,
} from "../../gen/plinth/registry/v1/registered_model_pb.js";
import { UsageError } from "./exit-codes.ts";
import { approvalText, pairsText } from "./format.ts";
import type { Session } from "./session.ts";
import {
  parseModel,
  parseReference,
  parseVersionNumber,
  resolveVersion,
  shortName,
} from "./version-reference.ts";

interface CommentOptions {
  readonly comment?: string;
}

/** `plinth models approve` */
export async function approveVersion(
  session: Session,
  [text]: readonly [string],
  { comment = "" }: CommentOptions,
): Promise<void> {
  const name = await resolveVersion(session, text);
  const version = await session.models.approveModelVersion({ name, comment }, session.call);
  await printVersion(session, version, `is ${approvalText(version)} and may be deployed.`);
}

/** `plinth models reject` */
export async function rejectVersion(
  session: Session,
  [text]: readonly [string],
  { comment = "" }: CommentOptions,
): Promise<void> {
  const name = await resolveVersion(session, text);
  const version = await session.models.rejectModelVersion({ name, comment }, session.call);
  await printVersion(session, version, `is ${approvalText(version)} and may not be deployed.`);
}

/** `plinth models alias` */
export async function changeAlias(
  session: Session,
  [modelId, alias, number]: readonly [string, string, string | undefined],
  options: { readonly delete?: boolean },
): Promise<void> {
  const name = parseModel(modelId, session.workspace);
  if (options.delete === true) {
    if (number !== undefined) {
      throw new UsageError("With --delete no version is named.");
    }
    const model = await session.models.deleteModelAlias({ name, alias }, session.call);
    return printModel(session, model, `has no alias ${alias} now.`);
  }
  if (number === undefined) {
    throw new UsageError("Say which version the alias shall point at, or --delete.");
  }
  const version = parseVersionNumber(number);
  const model = await session.models.setModelAlias({ name, alias, version }, session.call);
  return printModel(session, model, `aliases: ${pairsText(model.aliases)}`);
}

/** `plinth models archive` */
export async function archiveModel(session: Session, args: readonly [string]): Promise<void> {
  await archiveOrRestore(session, args[0], { restore: false });
}

/** `plinth models restore` */
export async function restoreModel(session: Session, args: readonly [string]): Promise<void> {
  await archiveOrRestore(session, args[0], { restore: true });
}

/** `plinth models delete` */
export async function deleteModel(
  session: Session,
  [text]: readonly [string],
  options: { readonly force?: boolean },
): Promise<void> {
  const reference = parseReference(text, session.workspace);
  let name = reference.model;
  if (reference.version === undefined) {
    const force = options.force ?? false;
    await session.models.deleteRegisteredModel({ name, force }, session.call);
  } else {
    name = await resolveVersion(session, text);
    await session.models.deleteModelVersion({ name }, session.call);
  }
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${shortName(name)} is deleted.`);
  }
}

async function archiveOrRestore(
  session: Session,
  text: string,
  { restore }: { readonly restore: boolean },
): Promise<void> {
  const reference = parseReference(text, session.workspace);
  const outcome = restore ? "is back." : "is archived.";
  if (reference.version === undefined) {
    const request = { name: reference.model, restore };
    const model = await session.models.archiveRegisteredModel(request, session.call);
    return printModel(session, model, outcome);
  }
  const name = await resolveVersion(session, text);
  const version = await session.models.archiveModelVersion({ name, restore }, session.call);
  return printVersion(session, version, outcome);
}

async function printVersion(
  session: Session,
  version: ModelVersion,
  outcome: string,
): Promise<void> {
  if (session.output.json) {
    await session.output.message(ModelVersionSchema, version);
  } else {
    session.output.line(`${shortName(version.name)} ${outcome}`);
  }
}

async function printModel(
  session: Session,
  model: RegisteredModel,
  outcome: string,
): Promise<void> {
  if (session.output.json) {
    await session.output.message(RegisteredModelSchema, model);
  } else {
    session.output.line(`${shortName(model.name)} ${outcome}`);
  }
}
