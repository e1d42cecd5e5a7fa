// Forgets entities: their rows in chunks, what those are found by, and their labels. An entity that
// is named by some of its join keys goes with whatever further ones it has. What is captured while
// this runs is looked for again, until a look finds nothing.

import { collect } from "../../common/documents/resource.ts";
import { type ChunkChanging, tellWindows } from "./apply-labels.ts";
import type { ChunkDraft } from "./chunk-draft.ts";
import { NONE } from "./chunk-rows.ts";
import type { DeploymentKnowledge } from "./deployment-facts.ts";
import { deploymentKey } from "./deployment-key.ts";
import { inParallel, pagesOf } from "./in-parallel.ts";
import type { LabelRecord } from "./prediction-collections.ts";
import {
  type EntityKeys,
  entityKey,
  idsOfReferences,
  keptKeyText,
  partKey,
  type Reference,
} from "./reference.ts";

/** Keys of one query. */
const KEYS_MAX = 500;
const CHUNKS_MAX = 8;
const WRITES_MAX = 200;
/** Looks, after which whoever still sends predictions of the entity must stop first. */
const ROUNDS_MAX = 5;

/** What erasures work with. */
export interface ErasureParts extends ChunkChanging {
  readonly knowledge: DeploymentKnowledge;
}

/** What went, or with `dryRun` would. */
export interface Erased {
  readonly predictions: number;
  readonly labels: number;
}

/** Forgets the entities in all deployments of a workspace. May be repeated. */
export async function erasePredictions(
  parts: ErasureParts,
  workspace: string,
  options: {
    readonly entities: readonly EntityKeys[];
    readonly dryRun: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Erased> {
  const { entities, dryRun, signal } = options;
  const deployments = await parts.knowledge.list(workspace);
  let predictions = 0;
  let labels = 0;
  for (let round = 1; round <= (dryRun ? 1 : ROUNDS_MAX); round++) {
    let found = 0;
    for (const name of deployments) {
      const deployment = deploymentKey(name);
      for (const page of pagesOf(entities, KEYS_MAX)) {
        signal.throwIfAborted();
        const erased = await eraseIn(parts, deployment, { entities: page, dryRun });
        predictions += erased.predictions;
        labels += erased.labels;
        found += erased.predictions + erased.labels;
      }
    }
    if (found === 0) {
      break;
    }
  }
  return { predictions, labels };
}

interface Order {
  readonly entities: readonly EntityKeys[];
  readonly dryRun: boolean;
}

async function eraseIn(parts: ErasureParts, deployment: string, order: Order): Promise<Erased> {
  const { references } = parts.collections;
  const exact = order.entities.map((keys) => entityKey(deployment, keys));
  const byPart = order.entities.map((keys) => {
    const [[joinKey, value] = ["", ""]] = Object.entries(keys);
    return partKey(deployment, joinKey, value);
  });
  const chunks = new Set<string>();
  const labelIds = new Set<string>();
  for (const keys of [exact, byPart]) {
    for await (const { chunk, label } of references.find({ by: { $in: keys } })) {
      if (label === undefined) {
        chunks.add(chunk);
      } else {
        labelIds.add(label);
      }
    }
  }
  const erased = await inParallel([...chunks], CHUNKS_MAX, (chunk) => {
    return eraseChunk(parts, chunk, order);
  });
  const waiting = await eraseLabels(parts, deployment, { ...order, exact, labelIds });
  return {
    predictions: erased.reduce((sum, chunk) => sum + chunk.predictions, 0),
    labels: erased.reduce((sum, chunk) => sum + chunk.labels, waiting),
  };
}

async function eraseChunk(
  parts: ErasureParts,
  chunk: string,
  { entities, dryRun }: Order,
): Promise<Erased> {
  const done = await parts.chunks.change(chunk, (draft) => {
    const rows = rowsOfEntities(draft, entities);
    const labels = rows.filter((row) => draft.isLabelled(row)).length;
    if (!dryRun && rows.length > 0) {
      draft.erase(rows);
    }
    return { record: draft.record, labels, rows, empty: emptyRows(draft) };
  });
  if (done === undefined) {
    return { predictions: 0, labels: 0 };
  }
  const { record, labels, rows, empty } = done;
  if (!dryRun) {
    await eraseReferences(parts, chunk, empty);
    await (rows.length > 0 ? tellWindows(parts, [{ record, added: -labels }]) : undefined);
  }
  return { predictions: rows.length, labels };
}

/** Those that are erased, also by an earlier try. */
function emptyRows(draft: ChunkDraft): ReadonlySet<number> {
  const rows = new Set<number>();
  for (let row = 0; row < draft.record.rows; row++) {
    if (!draft.has(row)) {
      rows.add(row);
    }
  }
  return rows;
}

/** Rows whose join keys are those of one of the entities, whatever others they have. */
function rowsOfEntities(draft: ChunkDraft, entities: readonly EntityKeys[]): number[] {
  const columns = new Map(draft.rows.keys.map((column) => [column.name, column]));
  const rows = new Set<number>();
  for (const keys of entities) {
    const wanted = Object.entries(keys).map(([name, value]) => {
      const column = columns.get(keptKeyText(name));
      const code = column?.texts.indexOf(keptKeyText(value)) ?? -1;
      return { codes: column?.codes, code };
    });
    if (wanted.some(({ code }) => code < 0)) {
      continue;
    }
    for (let row = 0; row < draft.record.rows; row++) {
      const isMeant = wanted.every(({ codes, code }) => codes?.[row] === code && code !== NONE);
      if (isMeant && draft.has(row)) {
        rows.add(row);
      }
    }
  }
  return [...rows].sort((a, b) => a - b);
}

/** References to rows that are erased, and labels of them that are remembered. */
async function eraseReferences(
  parts: ErasureParts,
  chunk: string,
  empty: ReadonlySet<number>,
): Promise<void> {
  const { references, labels } = parts.collections;
  const gone: string[] = [];
  const inferences: Reference[] = [];
  for await (const reference of references.find({ _id: idsOfReferences(chunk) })) {
    const rows = Array.from({ length: reference.count }, (_, at) => reference.row + at);
    if (rows.every((row) => empty.has(row))) {
      gone.push(reference._id);
    }
    if (reference.by.startsWith("i:") && rows.some((row) => empty.has(row))) {
      inferences.push(reference);
    }
  }
  const remembered: string[] = [];
  for (const page of pagesOf(inferences, KEYS_MAX)) {
    const byKey = new Map(page.map((reference) => [reference.by, reference]));
    for await (const label of labels.find({ by: { $in: [...byKey.keys()] } })) {
      const { row, first } = byKey.get(label.by)!;
      if (empty.has(row + label.row - first)) {
        remembered.push(label._id);
      }
    }
  }
  await inParallel(remembered, WRITES_MAX, (id) => labels.deleteOne(id));
  await inParallel(gone, WRITES_MAX, (id) => references.deleteOne(id));
}

/** Labels of entities, and how many of them waited. */
async function eraseLabels(
  parts: ErasureParts,
  deployment: string,
  order: Order & { readonly exact: readonly string[]; readonly labelIds: ReadonlySet<string> },
): Promise<number> {
  const { labels, references } = parts.collections;
  const found = new Map<string, LabelRecord>();
  for await (const label of labels.find({ by: { $in: order.exact } })) {
    found.set(label._id, label);
  }
  const wanted = order.entities.map((keys) => {
    return Object.entries(keys).map(([name, value]) => partKey(deployment, name, value));
  });
  const referring: string[] = [];
  for (const id of new Set([...order.labelIds, ...found.keys()])) {
    const own = await collect(references.find({ _id: idsOfReferences(id) }));
    const byParts = new Set(own.map(({ by }) => by));
    const isMeant = found.has(id) || wanted.some((parts) => parts.every((by) => byParts.has(by)));
    if (isMeant) {
      referring.push(...own.map(({ _id }) => _id));
      const label = found.get(id) ?? (await labels.findOne({ _id: id }));
      if (label !== undefined) {
        found.set(id, label);
      }
    }
  }
  if (!order.dryRun) {
    await inParallel([...found.keys()], WRITES_MAX, (id) => labels.deleteOne(id));
    await inParallel(referring, WRITES_MAX, (id) => references.deleteOne(id));
  }
  return [...found.values()].filter((label) => label.waiting).length;
}
