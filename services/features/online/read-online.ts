// One online read: from a plan and the request's columns to cells, statuses and event times. Each
// entity key is read once a call, whatever the number of rows and views that name it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import type { FeatureView, ViewVersion } from "../definitions/definitions.ts";
import { type CompiledTransform, compileTransform } from "../definitions/expression.ts";
import type { ReadPlan, Transform } from "../definitions/read-plan.ts";
import type { Cell, Cells, ValueType } from "../value.ts";
import { entityIds, keyText } from "./entity-key.ts";
import { decodeCell, type OnlineDocument, placesOf } from "./online-row.ts";
import type { RequestCells } from "./request-columns.ts";

const { PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, UNSPECIFIED } = FieldStatus;

/** Rows for which expressions are computed before a look at the time. */
const SLICE_ROWS = 16;
/** How long expressions may keep the event loop. */
const TURN_MAX_MS = 5;

/** What was read. */
export interface OnlineRead {
  readonly plan: ReadPlan;
  readonly rows: number;
  /** When, in microseconds. */
  readonly nowUs: number;
  /** One an output of the plan, in its order. */
  readonly outputs: readonly OnlineVector[];
  /** One a view of the plan: event times of the rows in microseconds, 0 where there is none. */
  readonly eventUs: readonly Float64Array[];
}

/** One output, a cell and a status a row. */
export interface OnlineVector {
  /** Null where the status is not PRESENT. */
  readonly cells: Cells;
  /** FieldStatus of each row. */
  readonly statuses: Uint8Array;
}

/** Where documents and versions come from. */
export interface OnlineSource {
  /** The document of each id, which are all different; undefined where there is none. */
  read(ids: readonly string[]): Promise<readonly (OnlineDocument | undefined)[]>;
  /** The version of a view under which rows were stored; it may not be known here yet. */
  storedVersion(view: ViewVersion, number: number): Promise<FeatureView>;
}

/** Reads. What the source throws comes through; so does the signal's reason once it aborts. */
export async function readOnline(
  source: OnlineSource,
  plan: ReadPlan,
  request: RequestCells & { readonly nowUs: number; readonly signal?: AbortSignal },
): Promise<OnlineRead> {
  const compiled = compile(plan);
  const { rows, nowUs } = request;
  const { ids, slots } = entitiesOf(compiled, request);
  const documents = await source.read(ids);
  const outputs = plan.outputs.map((): Vector => {
    return { cells: new Array<Cell>(rows).fill(null), statuses: new Uint8Array(rows) };
  });
  const eventUs: Float64Array[] = [];
  for (const view of compiled.views) {
    const input = { documents, slots: slots[view.key]!, rows, nowUs };
    for (;;) {
      const result = readView(view, input, outputs);
      if (typeof result !== "number") {
        eventUs.push(result);
        break;
      }
      const stored = await source.storedVersion(view.source, result);
      view.places.set(result, placesOf(view.source.version, stored));
    }
  }
  if (compiled.transforms.length > 0) await runTransforms(compiled, request, outputs);
  return { plan, rows, nowUs, outputs, eventUs };
}

interface Vector {
  readonly cells: Cell[];
  readonly statuses: Uint8Array;
}

/** A plan with what can be worked out once. */
interface CompiledPlan {
  readonly keys: readonly CompiledKey[];
  readonly views: readonly CompiledView[];
  readonly transforms: readonly CompiledOutputs[];
}

interface CompiledKey {
  readonly idOf: (texts: readonly string[]) => string;
  readonly parts: readonly {
    readonly joinKey: string;
    readonly type: ValueType;
    /** Index in the request's columns. */
    readonly column: number;
  }[];
}

interface CompiledView {
  readonly source: ViewVersion;
  readonly uid: string;
  readonly key: number;
  /** 0: forever. */
  readonly ttlUs: number;
  readonly outputs: readonly {
    readonly output: number;
    readonly feature: number;
    readonly type: ValueType;
  }[];
  /** By number of the version under which rows were stored. */
  readonly places: Map<number, Int32Array>;
}

interface CompiledOutputs {
  readonly inputs: Transform["inputs"];
  readonly compiled: CompiledTransform;
  readonly outputs: readonly { readonly output: number; readonly feature: number }[];
}

/** Plans are kept as long as the definitions that they come from. */
const compiledPlans = new WeakMap<ReadPlan, CompiledPlan>();

function compile(plan: ReadPlan): CompiledPlan {
  const known = compiledPlans.get(plan);
  if (known !== undefined) return known;
  const keys = plan.keys.map(({ parts }): CompiledKey => {
    return {
      idOf: entityIds(
        plan.workspace,
        parts.map((part) => part.joinKey),
      ),
      parts: parts.map((part) => ({ ...part, type: plan.requestColumns[part.column]!.type })),
    };
  });
  const views = plan.views.map(({ source, key }, read): CompiledView => {
    const { uid, version } = source;
    const outputs = plan.outputs.flatMap(({ from, type }, output) => {
      const isOurs = from.kind === "view" && from.read === read;
      return isOurs ? [{ output, feature: from.feature, type }] : [];
    });
    const places = new Map([[version.number, placesOf(version, version)]]);
    return { source, uid, key, ttlUs: version.ttlUs, outputs, places };
  });
  const transforms = plan.transforms.map(({ version, inputs }, transform): CompiledOutputs => {
    const outputs = plan.outputs.flatMap(({ from }, output) => {
      const isOurs = from.kind === "transform" && from.transform === transform;
      return isOurs ? [{ output, feature: from.feature }] : [];
    });
    return { inputs, compiled: compileTransform(version), outputs };
  });
  const compiled = { keys, views, transforms };
  compiledPlans.set(plan, compiled);
  return compiled;
}

/** The distinct documents of a request, and for each key of the plan the document of each row. */
function entitiesOf(
  { keys }: CompiledPlan,
  { rows, columns }: RequestCells,
): { readonly ids: readonly string[]; readonly slots: readonly Int32Array[] } {
  const ids: string[] = [];
  const slotOf = new Map<string, number>();
  const slots = keys.map(({ idOf, parts }) => {
    const slots = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      const texts = parts.map(({ type, column, joinKey }) => {
        return keyText(type, columns[column]![row]!, joinKey);
      });
      const id = idOf(texts);
      let slot = slotOf.get(id);
      if (slot === undefined) {
        slot = ids.push(id) - 1;
        slotOf.set(id, slot);
      }
      slots[row] = slot;
    }
    return slots;
  });
  return { ids, slots };
}

/** Fills the outputs of a view. A number: rows of that version were found, whose places are not known. */
function readView(
  { uid, ttlUs, outputs, places }: CompiledView,
  input: {
    readonly documents: readonly (OnlineDocument | undefined)[];
    readonly slots: Int32Array;
    readonly rows: number;
    readonly nowUs: number;
  },
  vectors: readonly Vector[],
): Float64Array | number {
  const { documents, slots, rows, nowUs } = input;
  const eventUs = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const stored = documents[slots[row]!]?.views[uid];
    if (stored === undefined) {
      for (const { output } of outputs) vectors[output]!.statuses[row] = NOT_FOUND;
      continue;
    }
    eventUs[row] = stored.e;
    if (ttlUs > 0 && nowUs - stored.e > ttlUs) {
      for (const { output } of outputs) vectors[output]!.statuses[row] = OUTSIDE_MAX_AGE;
      continue;
    }
    const place = places.get(stored.n);
    if (place === undefined) return stored.n;
    for (const { output, feature, type } of outputs) {
      const { cells, statuses } = vectors[output]!;
      const at = place[feature]!;
      const cell = at < 0 ? null : (stored.v[at] ?? null);
      if (cell === null) {
        statuses[row] = NULL_VALUE;
      } else {
        cells[row] = typeof cell === "string" ? decodeCell(type, cell) : cell;
        statuses[row] = PRESENT;
      }
    }
  }
  return eventUs;
}

/**
 * Computes the outputs of on-demand views, some rows at a time: whoever asks for much computing does
 * not keep the others waiting.
 */
async function runTransforms(
  { transforms }: CompiledPlan,
  request: RequestCells & { readonly signal?: AbortSignal },
  outputs: readonly Vector[],
): Promise<void> {
  let turnStartedMs = performance.now();
  for (const transform of transforms) {
    for (let first = 0; first < request.rows; first += SLICE_ROWS) {
      if (performance.now() - turnStartedMs > TURN_MAX_MS) {
        await nextTurn();
        request.signal?.throwIfAborted();
        turnStartedMs = performance.now();
      }
      runTransform(transform, { request, outputs, first });
    }
  }
}

/** Computes the outputs of an on-demand view for one slice of the rows. */
function runTransform(
  { compiled, inputs, outputs }: CompiledOutputs,
  on: {
    readonly request: RequestCells;
    readonly outputs: readonly Vector[];
    readonly first: number;
  },
): void {
  const { first } = on;
  const { columns } = on.request;
  const rows = Math.min(SLICE_ROWS, on.request.rows - first);
  const cells = inputs.map(({ from, index }) => {
    const column = from === "output" ? on.outputs[index]!.cells : columns[index]!;
    return column.length === rows ? column : column.slice(first, first + rows);
  });
  const results = compiled.evaluate(cells, rows);
  for (const { output, feature } of outputs) {
    const result = results[feature]!;
    const vector = on.outputs[output]!;
    for (let row = 0; row < rows; row++) {
      const cell = result.cells[row] ?? null;
      vector.cells[first + row] = cell;
      vector.statuses[first + row] = cell === null ? NULL_VALUE : PRESENT;
    }
    for (const row of result.failed) {
      vector.cells[first + row] = null;
      vector.statuses[first + row] = UNSPECIFIED;
    }
  }
}
