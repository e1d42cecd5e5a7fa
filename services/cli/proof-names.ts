// How people name circuits, proofs and their jobs on the command line, and the short form of full
// names in tables.

import {
  circuitName,
  modelVersionName,
  powersOfTauName,
  proofJobName,
  proofName,
} from "../common/names.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { listAll, type Session } from "./session.ts";
import { resolveVersion } from "./version-reference.ts";

const ID = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;
const PROOF_ID = /^[0-9a-f]{64}$/;
/** As tables show the beginning of an id. */
const PROOF_ID_START = /^[0-9a-f]{6,63}…?$/;

/** Stands for the active circuit of a version. */
const ACTIVE = "active";

/** Proofs that are looked through for one whose id begins so. */
const PROOFS_SEARCHED_MAX = 10_000;

/**
 * The full name of a circuit: "churn/3/exact", "churn@champion/exact", or a version for its active
 * one.
 * @throws UsageError that shows the forms.
 */
export async function resolveCircuit(session: Session, text: string): Promise<string> {
  if (circuitName.match(text) !== undefined) {
    return text;
  }
  const [, version = "", id = ACTIVE] = isVersionName(text)
    ? [text, text]
    : (/^([^/@]+(?:\/[^/]+|@[^/@]+))(?:\/([^/]+))?$/.exec(text) ?? []);
  if (version === "" || !ID.test(id)) {
    throw new UsageError(
      "A circuit is named model/3/circuit or model@alias/circuit; model/3 is the version's active " +
        `one; got "${text}".`,
    );
  }
  return `${await resolveVersion(session, version)}/circuits/${id}`;
}

/** As resolveCircuit, where the active one of a version will not do. */
export async function resolveOneCircuit(session: Session, text: string): Promise<string> {
  const name = await resolveCircuit(session, text);
  if (name.endsWith(`/${ACTIVE}`)) {
    throw new UsageError(
      `Say which circuit: ${text}/<circuit>. See "plinth circuits list ${text}".`,
    );
  }
  return name;
}

/** "churn/3/exact" for the full name; other names keep their last part. */
export function shortCircuit(name: string): string {
  const parts = circuitName.match(name);
  return parts === undefined ? lastPart(name) : `${parts.model}/${parts.version}/${parts.circuit}`;
}

/** The version that a circuit is of. */
export function versionOfCircuit(name: string): string {
  return modelVersionName.format(circuitName.parse(name, "circuit"));
}

/** The full name of a proof, of its id, or of the first digits of its id. */
export async function resolveProof(session: Session, text: string): Promise<string> {
  if (proofName.match(text) !== undefined || PROOF_ID.test(text)) {
    return PROOF_ID.test(text) ? `${session.parent}/proofs/${text}` : text;
  }
  if (!PROOF_ID_START.test(text)) {
    throw new UsageError(
      `A proof is named by its id, 64 hexadecimal digits or the first 6 and more; got "${text}".`,
    );
  }
  const start = text.replace(/…$/, "");
  const { items, more } = await listAll({
    limit: PROOFS_SEARCHED_MAX,
    page: (page) => session.proofs.listProofs({ parent: session.parent, ...page }, session.call),
    items: (response) => response.proofs,
  });
  const found = items.filter(({ name }) => lastPart(name).startsWith(start));
  if (found.length === 1) {
    return found[0]!.name;
  }
  const among = more ? ` among the newest ${PROOFS_SEARCHED_MAX}` : "";
  throw found.length === 0
    ? new CommandError(`There is no proof whose id begins with ${start}${among}.`, {
        exitCode: ExitCode.notFound,
        advice: ['See "plinth proof list".'],
      })
    : new UsageError(`${found.length} proofs begin with ${start}; give more digits.`);
}

/** The full name of a job: "proofJobs/7f3a", or its id. @throws UsageError */
export function proofJobReference(session: Session, text: string): string {
  const id = text.replace(/^proofJobs\//, "");
  const name = proofJobName.match(text) === undefined ? `${session.parent}/proofJobs/${id}` : text;
  if (proofJobName.match(name) === undefined) {
    throw new UsageError(`A job is named proofJobs/<id>; got "${text}".`);
  }
  return name;
}

/** "proofJobs/7f3a" */
export function shortJob(name: string): string {
  return `proofJobs/${lastPart(name)}`;
}

/** The full name of imported powers of tau. @throws UsageError */
export function powersOfTauReference(session: Session, text: string): string {
  const name = powersOfTauName.match(text) === undefined ? ofWorkspace(session, text) : text;
  if (powersOfTauName.match(name) === undefined) {
    throw new UsageError(`Powers of tau are named by their id, hermez-14; got "${text}".`);
  }
  return name;
}

/** What stands after the last slash. */
export function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function ofWorkspace(session: Session, id: string): string {
  return `${session.parent}/powersOfTau/${id}`;
}

function isVersionName(text: string): boolean {
  return modelVersionName.match(text) !== undefined;
}
