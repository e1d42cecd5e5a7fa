// What is stored of the baseline of one model version, and how one state follows another.
//
//   (none) -> learning -> freezing -> ready     from the first rows that are served
//   (none) | learning -> layout                 where learning is disabled
//   any -> ready                                from a file
//
// Every change is a compare-and-set of this one document, so replicas agree on which rows are in
// the baseline: those of the batches that the document which became ready lists in `frozen`.

import type { Document } from "../../common/documents/port.ts";
import { type KindedColumn, plainLayout } from "./draft-layout.ts";

/**
 * Windows that are open on a layout when it is replaced must be merged on it: a window has at most
 * 31 days, a row is at most 7 days late.
 */
const REPLACED_KEPT_MS = 40 * 86_400_000;
/** Uploads one after the other; of more the oldest layout goes. */
const REPLACED_MAX = 4;

/** Senders give a batch up, or learn that it was counted, long before. */
const RESENT_MS = 3_600_000;

/** Where a baseline came from. */
export type BaselineSource = "dataset" | "first-inferences";

/** A profile in the blob store. */
export interface StoredProfile {
  readonly digest: string;
  /** Of the profile. */
  readonly sizeBytes: number;
  readonly layoutId: string;
  readonly rows: number;
  readonly source: BaselineSource;
  /** Empty: none. */
  readonly fileName: string;
  /** When it became the baseline. */
  readonly createTime: Date;
}

/** A layout that windows may still be open on. */
export interface ReplacedLayout {
  readonly layoutId: string;
  /** Of the profile that has it; absent where it is the plain layout of `columns`. */
  readonly digest?: string;
  readonly columns?: readonly KindedColumn[];
  readonly until: Date;
}

/** Which batches of a sender are in the baseline. */
export interface FrozenSender {
  readonly sender: string;
  /** All up to here, or they never come again. */
  readonly acknowledged: number;
  readonly sequences: readonly number[];
}

interface RecordHead extends Document {
  /** The model version's name; `_id` is its uid. */
  readonly modelVersion: string;
  /** Columns of the drafts; each list has those of the one before, and more. */
  readonly drafts: readonly (readonly KindedColumn[])[];
  readonly frozen: readonly FrozenSender[];
  /** Until when batches of `frozen` may be sent again. */
  readonly frozenUntil: Date | null;
  readonly replaced: readonly ReplacedLayout[];
  /** When something of the above is to be removed. */
  readonly sweepTime: Date | null;
}

/** As it is stored. */
export type BaselineRecord =
  | (RecordHead & {
      readonly state: "learning" | "freezing";
      /** Name of the deployment whose rows came first; its monitor says how many it takes. */
      readonly deployment: string;
    })
  | (RecordHead & {
      readonly state: "layout";
      readonly layoutId: string;
      readonly columns: readonly KindedColumn[];
    })
  | (RecordHead & { readonly state: "ready"; readonly profile: StoredProfile });

/** Which version. */
export interface VersionIdentity {
  readonly modelVersion: string;
  readonly modelVersionUid: string;
}

/** The group of parts that hold the drafts of a version. */
export function draftGroup(modelVersionUid: string): string {
  return `draft:${modelVersionUid}`;
}

/** The beginning of learning. */
export function newLearning(
  version: VersionIdentity,
  draft: { readonly columns: readonly KindedColumn[]; readonly deployment: string },
): BaselineRecord {
  const { columns, deployment } = draft;
  return { ...newHead(version), drafts: [columns], state: "learning", deployment };
}

/** Windows without a baseline, in place of what there was. Drafts are given up. */
export function withLayout(
  current: BaselineRecord | undefined,
  version: VersionIdentity,
  next: { readonly columns: readonly KindedColumn[]; readonly now: Date },
): BaselineRecord {
  const { columns, now } = next;
  const head = endLearning(current, headOf(current, version), { now });
  return { ...head, state: "layout", layoutId: plainLayout(columns).id, columns };
}

/** The baseline, in place of what there was; `frozen`: the batches of drafts that are in it. */
export function withProfile(
  current: BaselineRecord | undefined,
  version: VersionIdentity,
  next: {
    readonly profile: StoredProfile;
    readonly now: Date;
    readonly frozen?: readonly FrozenSender[];
  },
): BaselineRecord {
  const { profile, now } = next;
  const replaced = replacedBy(current, profile, now);
  const head = endLearning(current, { ...headOf(current, version), replaced }, next);
  return { ...head, state: "ready", profile };
}

/** Without what is no longer needed at this time. */
export function swept(current: BaselineRecord, now: Date): BaselineRecord {
  const replaced = current.replaced.filter(({ until }) => until > now);
  const isOver = current.frozenUntil !== null && current.frozenUntil <= now;
  const frozenUntil = isOver ? null : current.frozenUntil;
  const frozen = isOver ? [] : current.frozen;
  const drafts = isOver && isLearnt(current) ? [] : current.drafts;
  const sweepTime = sweepTimeOf(frozenUntil, replaced);
  return { ...current, replaced, frozen, frozenUntil, drafts, sweepTime };
}

/** Whether no more rows are learned from. */
export function isLearnt(record: BaselineRecord): boolean {
  return record.state === "ready" || record.state === "layout";
}

/** Whether the batch was counted in the baseline, or will not come again. */
export function isFrozen(
  record: BaselineRecord,
  batch: { readonly sender: string; readonly sequence: number },
): boolean {
  const known = record.frozen.find(({ sender }) => sender === batch.sender);
  return (
    known !== undefined &&
    (batch.sequence <= known.acknowledged || known.sequences.includes(batch.sequence))
  );
}

/** Blobs that the record refers to. */
export function digestsOf(record: BaselineRecord | undefined): readonly string[] {
  if (record === undefined) {
    return [];
  }
  const replaced = record.replaced.flatMap(({ digest }) => digest ?? []);
  return record.state === "ready" ? [record.profile.digest, ...replaced] : replaced;
}

function newHead({ modelVersion, modelVersionUid }: VersionIdentity): RecordHead {
  return {
    _id: modelVersionUid,
    modelVersion,
    drafts: [],
    frozen: [],
    frozenUntil: null,
    replaced: [],
    sweepTime: null,
  };
}

function headOf(current: BaselineRecord | undefined, version: VersionIdentity): RecordHead {
  if (current === undefined) {
    return newHead(version);
  }
  const { _id, modelVersion, drafts, frozen, frozenUntil, replaced, sweepTime } = current;
  return { _id, modelVersion, drafts, frozen, frozenUntil, replaced, sweepTime };
}

/** What is left to be removed once no more rows are learned from. */
function endLearning(
  current: BaselineRecord | undefined,
  head: RecordHead,
  next: { readonly now: Date; readonly frozen?: readonly FrozenSender[] },
): RecordHead {
  const { now, frozen = head.frozen } = next;
  const ends = current !== undefined && !isLearnt(current);
  const frozenUntil = ends ? new Date(now.getTime() + RESENT_MS) : head.frozenUntil;
  return { ...head, frozen, frozenUntil, sweepTime: sweepTimeOf(frozenUntil, head.replaced) };
}

/** The layouts that go on being known when this profile becomes the baseline, oldest first. */
function replacedBy(
  current: BaselineRecord | undefined,
  profile: StoredProfile,
  now: Date,
): readonly ReplacedLayout[] {
  const until = new Date(now.getTime() + REPLACED_KEPT_MS);
  const before: ReplacedLayout[] = [...(current?.replaced ?? [])];
  if (current?.state === "ready") {
    before.push({ layoutId: current.profile.layoutId, digest: current.profile.digest, until });
  }
  if (current?.state === "layout") {
    before.push({ layoutId: current.layoutId, columns: current.columns, until });
  }
  const last = new Map(before.map((entry) => [entry.layoutId, entry]));
  last.delete(profile.layoutId);
  return [...last.values()]
    .filter((entry) => entry.until > now)
    .toSorted((a, b) => a.until.getTime() - b.until.getTime())
    .slice(-REPLACED_MAX);
}

function sweepTimeOf(frozenUntil: Date | null, replaced: readonly ReplacedLayout[]): Date | null {
  const times = [...(frozenUntil === null ? [] : [frozenUntil]), ...replaced.map((r) => r.until)];
  return times.length === 0 ? null : new Date(Math.min(...times.map(Number)));
}
