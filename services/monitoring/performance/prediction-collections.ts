// What is stored of predictions and labels, and how it is found.

import type {
  Collection,
  CollectionSpec,
  Document,
  DocumentStore,
} from "../../common/documents/port.ts";
import type { Task } from "./chunk-rows.ts";
import type { BatchPlan } from "./prediction-plan.ts";
import type { Reference } from "./reference.ts";

/** Kept predictions of one batch and window, with the labels that came for them. */
export interface ChunkRecord extends Document {
  /** Id of the target. */
  readonly owner: string;
  readonly startUs: number;
  readonly endUs: number;
  readonly task: Task;
  readonly rows: number;
  /** Rows of the same batch and window that were not kept. */
  readonly notKept: number;
  /** encodeRows */
  readonly data: Uint8Array;
  /** encodeLabels; empty: no label yet. */
  readonly labels: Uint8Array;
  readonly expireTime: Date;
}

/** A label that waits for its prediction, or was joined a short while ago. */
export interface LabelRecord extends Document {
  /** inferenceKey or entityKey */
  readonly by: string;
  /** Of an entity: event time, microseconds. Of an inference: 0. */
  readonly time: number;
  /** Of an inference. */
  readonly row: number;
  readonly value: string | number;
  readonly waiting: boolean;
  readonly expireTime: Date;
}

/** That a target has predictions in a window. */
export interface PredictionWindow extends Document {
  readonly owner: string;
  readonly startUs: number;
  readonly endUs: number;
  /** Another one after every change of the window's predictions or labels. */
  readonly stamp: string;
  readonly expireTime: Date;
}

/** That predictions of a window have labels. */
export interface LabelledWindow extends PredictionWindow {
  /** How many, as far as counted along; measuring the window corrects it. */
  readonly labels: number;
  /** Not seen by the evaluation of alerts yet. */
  readonly changed: boolean;
  readonly changeTime: Date;
}

/** What is known of a deployment's predictions. `_id` is its name. */
export interface DeploymentFacts extends Document {
  readonly workspace: string;
  readonly tasks: readonly Task[];
  /** Of all its versions. */
  readonly classLabels: readonly string[];
  /** Some version has no class labels, or there are too many: any text may be a class. */
  readonly openClasses: boolean;
  /** Lengths that its windows have had, microseconds. */
  readonly windowLengths: readonly number[];
  /** Labels are remembered until then at most. */
  readonly labelsUntil: Date;
}

/** All collections of predictions and labels. */
export interface PredictionCollections {
  readonly chunks: Collection<ChunkRecord>;
  readonly references: Collection<Reference>;
  readonly labels: Collection<LabelRecord>;
  readonly windows: Collection<PredictionWindow>;
  readonly labelled: Collection<LabelledWindow>;
  readonly batches: Collection<BatchPlan>;
  readonly deployments: Collection<DeploymentFacts>;
}

const EXPIRES = { keys: { expireTime: 1 }, expireAfterSeconds: 0 } as const;

/** Opens them, making what is missing. */
export async function openCollections(documents: DocumentStore): Promise<PredictionCollections> {
  const open = <T extends Document>(name: string, indexes: CollectionSpec["indexes"] = []) => {
    return documents.collection<T>({ name, indexes });
  };
  return {
    chunks: await open("prediction_chunks", [EXPIRES]),
    references: await open("prediction_references", [{ keys: { by: 1, time: 1 } }, EXPIRES]),
    labels: await open("prediction_labels", [{ keys: { by: 1, time: 1 } }, EXPIRES]),
    windows: await open("prediction_windows", [EXPIRES]),
    labelled: await open("labelled_windows", [{ keys: { changed: 1, changeTime: 1 } }, EXPIRES]),
    batches: await open("prediction_batches", [EXPIRES]),
    deployments: await open("prediction_deployments", [{ keys: { workspace: 1 } }]),
  };
}
