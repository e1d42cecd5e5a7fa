// Keeps predictions until their labels come. The owner of everything that is stored of them; what
// is measured is read through it.
//
// A batch is kept in an order in which it can be left at any point and begun again: its plan, its
// chunks, what finds them, the labels that wait for them. Each has an id that follows from the
// batch, so what is there already stays.

import type {
  PerformanceReport,
  PerformanceSlice,
} from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import { AlreadyExists } from "../../common/errors/domain-error.ts";
import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import type { AskedRange } from "../reports/time-range.ts";
import { targetId } from "../target.ts";
import { type BuiltChunk, buildChunks } from "./build-chunks.ts";
import { type ChangedWindow, ChangedWindows, countLabelsIn } from "./changed-windows.ts";
import { decodeRows } from "./chunk-codec.ts";
import { ChunkWriter } from "./chunk-writer.ts";
import { classKey } from "./class-key.ts";
import { DeploymentKnowledge } from "./deployment-facts.ts";
import { type Erased, erasePredictions } from "./erase-predictions.ts";
import { inParallel } from "./in-parallel.ts";
import { LabelBook, type LabelFate, type NewLabel } from "./label-book.ts";
import { liveMetrics } from "./live-metrics.ts";
import {
  type MeasuredTarget,
  type MeterParts,
  newestMeasurable,
  performanceOf,
  windowMetrics,
} from "./measure.ts";
import { predictedColumns } from "./predicted-columns.ts";
import {
  type ChunkRecord,
  openCollections,
  type PredictionCollections,
} from "./prediction-collections.ts";
import { PredictionPace } from "./prediction-pace.ts";
import { type BatchPlan, batchId, inferencePlace, planBatch } from "./prediction-plan.ts";
import type { EntityKeys, Reference } from "./reference.ts";
import { referencesOf } from "./references-of.ts";
import type { WindowSpan } from "./window-key.ts";
import { WindowReader } from "./window-reader.ts";
import { stampWindow } from "./window-stamps.ts";

/** Chunks written at once. */
const CHUNKS_MAX = 4;
/** References written at once. */
const WRITES_MAX = 500;

/** What the store works with. */
export interface PredictionDeps {
  readonly documents: DocumentStore;
  readonly config: Pick<MonitoringConfig, "predictionsRateMax" | "clockSkewMs" | "memoryBytesMax">;
  readonly clock: Clock;
  readonly events: MonitoringEvents;
  readonly monitors: Pick<MonitorStore, "get">;
  readonly baselines: Pick<BaselineStore, "ready">;
}

/** Owns the collections of predictions and labels, the pace, and what of them is in memory. */
export class PredictionStore {
  readonly collections: PredictionCollections;
  /** Windows whose labels changed. */
  readonly changed: ChangedWindows;
  /** Changes kept predictions. */
  readonly chunks: ChunkWriter;
  /** Windows as they are measured. */
  readonly windows: WindowReader;
  readonly knowledge: DeploymentKnowledge;
  readonly labels: LabelBook;
  readonly #deps: PredictionDeps;
  readonly #meter: MeterParts;
  readonly #pace: PredictionPace;

  private constructor(collections: PredictionCollections, deps: PredictionDeps) {
    const { clock, config } = deps;
    this.collections = collections;
    this.#deps = deps;
    this.#pace = new PredictionPace(clock, config.predictionsRateMax);
    this.changed = new ChangedWindows(collections.labelled, clock);
    this.chunks = new ChunkWriter(collections.chunks);
    this.knowledge = new DeploymentKnowledge(collections.deployments);
    this.windows = new WindowReader({ collections, bytesMax: config.memoryBytesMax / 4 });
    const { monitors, baselines } = deps;
    const { windows, changed, knowledge } = this;
    this.#meter = { collections, windows, changed, knowledge, monitors, baselines };
    this.labels = new LabelBook({
      collections,
      chunks: this.chunks,
      changed: this.changed,
      knowledge: this.knowledge,
      clock,
    });
  }

  static async open(deps: PredictionDeps): Promise<PredictionStore> {
    return new PredictionStore(await openCollections(deps.documents), deps);
  }

  /**
   * Keeps the predictions of a batch, as many as the pace allows, and joins labels that came before
   * them. Durable when it resolves; a batch that comes again changes nothing.
   */
  async keep(batch: DecodedBatch): Promise<void> {
    const { monitors, config, events } = this.#deps;
    const { deployment } = batch.target;
    const settings = await monitors.get(deployment);
    if (batch.rows === 0 || predictedColumns(batch, settings.task) === undefined) {
      return;
    }
    if (config.predictionsRateMax === 0) {
      events.predictionsNotKept(deployment, batch.rows);
      return;
    }
    const plan = await this.#planOf(batch);
    const chunks = buildChunks(batch, plan);
    const [first] = chunks;
    if (first === undefined) {
      return;
    }
    const { task } = first.rows.predicted;
    const classLabels = batch.classLabels.map(classKey);
    await this.knowledge.learn(deployment, { task, classLabels, windowUs: plan.windowUs });
    const erased = await this.#storeChunks(batch, plan, chunks);
    const references = chunks.flatMap((chunk) => {
      return referencesOf(batch, plan, { ...chunk, erased: erased.get(chunk.id) });
    });
    await this.#storeReferences(references);
    const retentionMs = settings.retention.predictionsMs;
    await this.labels.joinWaiting(references, { deployment, retentionMs });
  }

  /** See measure.ts. @throws InvalidArgument, DataLoss */
  performanceOf(
    target: MeasuredTarget,
    range: AskedRange,
    signal?: AbortSignal,
  ): Promise<PerformanceReport> {
    return performanceOf(this.#meter, target, range, signal);
  }

  /** How good the predictions of a window were; undefined where none are kept. @throws DataLoss */
  windowMetrics(target: MeasuredTarget, window: WindowSpan): Promise<PerformanceSlice | undefined> {
    return windowMetrics(this.#meter, target, window);
  }

  /**
   * Of the newest window with labels (where there is none, with predictions), by name: accuracy,
   * precision, recall, f1, roc_auc, log_loss, mae, rmse, r2, label_coverage, estimated_accuracy.
   * What is not known is left out. @throws DataLoss
   */
  async latestMetrics(target: MeasuredTarget): Promise<Record<string, number>> {
    const window = await newestMeasurable(this.#meter, target);
    const slice = window && (await this.windowMetrics(target, window));
    return slice === undefined ? {} : liveMetrics(slice);
  }

  /** How many labels have come for the predictions of each range, in order. */
  labelCounts(targetId: string, ranges: readonly WindowSpan[]): Promise<readonly number[]> {
    return countLabelsIn(this.changed, targetId, ranges);
  }

  /** See ChangedWindows. */
  takeChanged(limit: number): Promise<readonly ChangedWindow[]> {
    return this.changed.takeChanged(limit);
  }

  /** See ChangedWindows. */
  seen(change: ChangedWindow): Promise<void> {
    return this.changed.seen(change);
  }

  /** See LabelBook. */
  async recordLabels(deployment: string, labels: readonly NewLabel[]): Promise<LabelFate[]> {
    const { retention } = await this.#deps.monitors.get(deployment);
    const reach = { deployment, retentionMs: retention.predictionsMs };
    const fates = await this.labels.record(labels, reach);
    for (const [outcome, group] of Map.groupBy(fates, (fate) => fate)) {
      this.#deps.events.labelsStored(outcome, group.length);
    }
    return fates;
  }

  /** See erase-predictions.ts. */
  erase(
    workspace: string,
    options: {
      readonly entities: readonly EntityKeys[];
      readonly dryRun: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<Erased> {
    const { collections, chunks, changed, knowledge } = this;
    return erasePredictions({ collections, chunks, changed, knowledge }, workspace, options);
  }

  /** Stored before anything else of the batch, so that all its sendings agree. */
  async #planOf(batch: DecodedBatch): Promise<BatchPlan> {
    const { batches } = this.collections;
    const known = await batches.findOne({ _id: batchId(batch) });
    if (known !== undefined) {
      return known;
    }
    const { clock, config, monitors } = this.#deps;
    const hasKeys = batch.entityKeys.length > 0;
    const keepBelow = this.#pace.keepBelow(
      batch.inferences.rows.map((rows, inference) => ({
        place: inferencePlace(batch, inference),
        rows,
        references: hasKeys ? rows : 1,
      })),
    );
    const settings = await monitors.get(batch.target.deployment);
    const { clockSkewMs } = config;
    const plan = planBatch(batch, { nowMs: clock.now(), clockSkewMs, keepBelow, settings });
    try {
      return await batches.insertOne(plan);
    } catch (error) {
      const first = error instanceof AlreadyExists && (await batches.findOne({ _id: plan._id }));
      if (!first) {
        throw error;
      }
      return first;
    }
  }

  /** The rows that were erased since the batch was stored by an earlier sending, by chunk. */
  async #storeChunks(
    batch: DecodedBatch,
    plan: BatchPlan,
    chunks: readonly BuiltChunk[],
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const owner = targetId(batch.target);
    const expireTime = plan.predictionsExpire;
    const erased = new Map<string, Uint8Array>();
    await inParallel(chunks, CHUNKS_MAX, async (chunk) => {
      const isNew = await insertIfNew(
        this.collections.chunks,
        chunkRecord(chunk, owner, expireTime),
      );
      if (!isNew) {
        const stored = await this.collections.chunks.findOne({ _id: chunk.id });
        const rows = stored && decodeRows(stored.data).erased;
        erased.set(chunk.id, rows ?? new Uint8Array(0));
      } else if (chunk.notKept > 0) {
        this.#deps.events.predictionsNotKept(batch.target.deployment, chunk.notKept);
      }
    });
    const windows = new Map(chunks.map((chunk) => [chunk.startUs, chunk]));
    await inParallel([...windows.values()], CHUNKS_MAX, async ({ startUs, endUs }) => {
      await stampWindow(this.collections.windows, { owner, startUs, endUs }, expireTime);
    });
    return erased;
  }

  async #storeReferences(references: readonly Reference[]): Promise<void> {
    await inParallel(references, WRITES_MAX, (reference) => {
      return insertIfNew(this.collections.references, reference);
    });
  }
}

/** A chunk without labels. */
function chunkRecord(chunk: BuiltChunk, owner: string, expireTime: Date): ChunkRecord {
  const { id, startUs, endUs, rows, data, notKept } = chunk;
  return {
    _id: id,
    owner,
    startUs,
    endUs,
    task: rows.predicted.task,
    rows: rows.rows,
    notKept,
    data,
    labels: new Uint8Array(0),
    expireTime,
  };
}
