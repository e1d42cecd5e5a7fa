// Online reads that are kept, so that check-skew can compare what was served with what history
// says: a sample of the calls of each feature service that asks for it, as rows of a history of
// their own. Keeping never delays an answer; what there is no room for is dropped and counted.

import { randomUUID } from "node:crypto";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import type { FeaturesConfig } from "../config.ts";
import { statusColumn } from "../definitions/field-name.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import type { FeaturesEvents } from "../events.ts";
import type { Shape } from "../offline/engine-tasks.ts";
import { readsHistory } from "../offline/history.ts";
import type { OfflineStore } from "../offline/offline-store.ts";
import type { Cell, Cells, Field, RowBatch } from "../value.ts";
import type { OnlineRead } from "./read-online.ts";

/** How often what was kept is written. */
const WRITE_INTERVAL_MS = 1_000;

/** Rows of one write. */
const BATCH_ROWS_MAX = 10_000;

/** Tries of a write; then its rows are dropped. */
const TRIES_MAX = 5;

/** Where kept reads go, and how many may wait. */
export interface ReadLogOptions {
  readonly offline: Pick<OfflineStore, "append">;
  readonly config: Pick<FeaturesConfig, "readLogRowsMax">;
  readonly events: Pick<FeaturesEvents, "readsDropped" | "backgroundFailed">;
  /** 0 to 1, exclusive; absent: Math.random. */
  readonly random?: () => number;
}

/** One kept call. */
interface KeptRead {
  readonly read: OnlineRead;
  /** Of the plan's request columns. */
  readonly columns: readonly Cells[];
}

/** Rows on their way to the offline store. A try that failed may have stored them: the id tells. */
interface Batch {
  readonly plan: ReadPlan;
  readonly batchId: string;
  readonly rows: number;
  readonly reads: readonly KeptRead[];
  tries: number;
}

/** Owns the kept reads that are not written yet. */
export class ReadLog implements AsyncDisposable {
  readonly #options: ReadLogOptions;
  readonly #random: () => number;
  #kept: KeptRead[] = [];
  #batches: Batch[] = [];
  /** Of both. */
  #rows = 0;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReadLogOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** Rows that wait. */
  get rows(): number {
    return this.#rows;
  }

  /** Begins to write every second. */
  start(): void {
    this.#timer ??= setInterval(() => void this.flush(), WRITE_INTERVAL_MS).unref();
  }

  /** Keeps the call if chance has it and there is room. `columns` are those of the request. */
  offer(read: OnlineRead, columns: readonly Cells[]): void {
    const { loggingSampleRate, featureService, keyColumns } = read.plan;
    if (loggingSampleRate <= 0 || featureService === undefined || keyColumns === 0) return;
    if (this.#random() >= loggingSampleRate) return;
    if (this.#rows + read.rows > this.#options.config.readLogRowsMax) {
      this.#options.events.readsDropped(read.rows);
      return;
    }
    this.#rows += read.rows;
    this.#kept.push({ read, columns });
  }

  /** Writes what waits; what fails stays for the next time. Never throws. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  /** Writes what waits; what cannot be written is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    this.#drop(this.#batches);
    this.#batches = [];
  }

  async #writeAll(): Promise<void> {
    const kept = this.#kept;
    this.#kept = [];
    this.#batches.push(...batchesOf(kept));
    const failed: Batch[] = [];
    for (const batch of this.#batches) {
      if (await this.#write(batch)) this.#rows -= batch.rows;
      else failed.push(batch);
    }
    this.#batches = failed.filter((batch) => batch.tries < TRIES_MAX);
    this.#drop(failed.filter((batch) => batch.tries >= TRIES_MAX));
  }

  async #write(batch: Batch): Promise<boolean> {
    const { plan, batchId, reads } = batch;
    const name = plan.featureService ?? "";
    try {
      const history = readsHistory(plan.workspace, name);
      const rows = rowsOf(plan, reads);
      await this.#options.offline.append(history, readsShape(plan), rows, { batchId });
      return true;
    } catch (error) {
      batch.tries += 1;
      this.#options.events.backgroundFailed("kept reads", name, error);
      return false;
    }
  }

  #drop(batches: readonly Batch[]): void {
    for (const { rows } of batches) {
      this.#rows -= rows;
      this.#options.events.readsDropped(rows);
    }
  }
}

/** The columns of kept reads: request columns, outputs, and the status of each output. */
export function readsShape(plan: ReadPlan): Shape {
  const keys = plan.requestColumns.slice(0, plan.keyColumns);
  return {
    joinKeys: keys.map(fieldOf).sort((a, b) => (a.name < b.name ? -1 : 1)),
    features: [
      ...plan.requestColumns.slice(plan.keyColumns).map(fieldOf),
      ...plan.outputs.flatMap((output): Field[] => [
        fieldOf(output),
        { name: statusColumn(output.name), type: "STRING" },
      ]),
    ],
  };
}

/** One plan each, none larger than one write. */
function batchesOf(kept: readonly KeptRead[]): Batch[] {
  const open = new Map<ReadPlan, KeptRead[]>();
  const rows = new Map<ReadPlan, number>();
  const batches: Batch[] = [];
  const close = (plan: ReadPlan, reads: readonly KeptRead[]): void => {
    batches.push({ plan, batchId: randomUUID(), rows: rows.get(plan) ?? 0, reads, tries: 0 });
    rows.delete(plan);
    open.delete(plan);
  };
  for (const one of kept) {
    const { plan } = one.read;
    const before = open.get(plan);
    if (before !== undefined && rows.get(plan)! + one.read.rows > BATCH_ROWS_MAX) {
      close(plan, before);
    }
    const reads = open.get(plan) ?? [];
    open.set(plan, reads);
    reads.push(one);
    rows.set(plan, (rows.get(plan) ?? 0) + one.read.rows);
  }
  for (const [plan, reads] of [...open]) close(plan, reads);
  return batches;
}

function rowsOf(plan: ReadPlan, reads: readonly KeptRead[]): RowBatch {
  const requested = plan.requestColumns.map(({ name }, index) => {
    return [name, reads.flatMap(({ columns }) => columns[index] ?? [])] as const;
  });
  const outputs = plan.outputs.flatMap(({ name }, index) => {
    const cells = reads.flatMap(({ read }) => read.outputs[index]!.cells);
    const statuses = reads.flatMap(({ read }) => {
      return Array.from(read.outputs[index]!.statuses, (status): Cell => FieldStatus[status]!);
    });
    return [[name, cells] as const, [statusColumn(name), statuses] as const];
  });
  const times = reads.flatMap(({ read }) => new Array<number>(read.rows).fill(read.nowUs));
  return {
    rows: times.length,
    keys: Object.fromEntries(requested.slice(0, plan.keyColumns)),
    features: Object.fromEntries([...requested.slice(plan.keyColumns), ...outputs]),
    eventUs: times,
    createdUs: times,
  };
}

function fieldOf({ name, type }: Field): Field {
  return { name, type };
}
