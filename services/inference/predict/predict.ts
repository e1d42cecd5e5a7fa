// plinth.inference.v1.InferenceService over an engine: rows by column name or entities of a feature
// service in, labels, scores and timings out.

import { randomUUID } from "node:crypto";
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  InferenceService,
  type PredictRequest,
  type PredictResponseSchema,
  type StreamPredictRequest,
  type StreamPredictResponseSchema,
} from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import { durationOf } from "../../common/duration.ts";
import { DomainError, InvalidArgument } from "../../common/errors/domain-error.ts";
import { toStatus } from "../../common/errors/status.ts";
import { bindService, type CallContext, type ServiceBinding } from "../../common/rpc/context.ts";
import { Undecodable } from "../../common/rpc/message-codec.ts";
import type { Engine, Servable } from "../engine.ts";
import { deploymentRef, workspaceOf } from "../protocol/deployment-ref.ts";
import { EVENT_TIME_EXPECTED, eventTimeOf } from "../protocol/event-time.ts";
import { PRIORITY_DEFAULT, PRIORITY_LEVELS } from "../protocol/infer-parameters.ts";
import { OrderedStream, type StreamWindow } from "../protocol/ordered-stream.ts";
import { quote, quoteAll, Violations } from "../protocol/violations.ts";
import type { FeatureReader, FeatureRows } from "./feature-rows.ts";
import { type Prediction, predictionsFrom } from "./predictions.ts";
import { tensorsFromRows } from "./rows.ts";

export interface PredictOptions {
  readonly features: FeatureReader;
  readonly streamWindow: StreamWindow;
  readonly clock: Clock;
  /** For errors inside a stream that nobody foresaw; they are answered as INTERNAL. */
  readonly onUnforeseen: (error: unknown, context: CallContext) => void;
}

/** As the proto says. */
const ROWS_MAX = 1024;
/** As many as one online read takes. */
const ENTITIES_MAX = 1000;
const ID_CHARACTERS_MAX = 256;

/** What a parsed JSON value costs in memory, roughly; bounds the bytes of a stream. */
const VALUE_BYTES = 32;

type Response = MessageInitShape<typeof PredictResponseSchema>;
type StreamResponse = MessageInitShape<typeof StreamPredictResponseSchema>;

/** The service's handlers. */
export function predictBinding(engine: Engine, options: PredictOptions): ServiceBinding {
  return bindService(InferenceService, {
    predict: (request, context) => predict(engine, options, request, context),
    streamPredict: (requests, context) => streamPredict(engine, options, requests, context),
  });
}

async function predict(
  engine: Engine,
  { clock, features }: PredictOptions,
  request: PredictRequest,
  context: CallContext,
): Promise<Response> {
  const startMs = clock.monotonicMs();
  const violations = new Violations();
  checkRequest(request, violations);
  const eventUs = readEventTime(request, violations);
  const ref = deploymentRef(
    { principal: context.principal, workspace: workspaceOf(context) },
    request.deployment,
    request.version > 0n ? request.version.toString() : "",
    "deployment",
  );
  const servable = engine.route(ref, request.routingKey === "" ? undefined : request.routingKey);
  const { entities } = request;
  const { batched } = servable;
  checkCount(request, servable, violations);
  const shown = shownOutputs(request, servable, violations);
  violations.throwIfAny(ErrorReason.INVALID_FIELD);
  const read =
    entities.length === 0
      ? undefined
      : await features.rows({ entities, servable, workspace: ref.workspace }, context);
  const inputs = read ?? tensorsFromRows(request.rows, servable, violations);
  violations.throwIfAny(ErrorReason.TENSOR_MISMATCH);
  const id = request.id === "" ? randomUUID() : request.id;
  const count = read?.rows.length ?? request.rows.length;
  const result = await engine.infer({
    id,
    servable,
    inputs: inputs.tensors,
    outputs: wantedOutputs(servable, shown),
    rows: batched ? count : 1,
    priority: request.priority === 0 ? PRIORITY_DEFAULT : request.priority,
    deadlineMs: context.deadlineMs,
    signal: context.signal,
    trace: context.trace,
    routingKey: request.routingKey,
    eventUs,
    features: read?.features,
  });
  const predictions = predictionsFrom(result.outputs, {
    rows: count,
    batched,
    classLabels: servable.classLabels,
    shown,
  });
  return {
    id,
    modelVersion: servable.modelVersion,
    predictions: read === undefined ? predictions : inRequestOrder(predictions, read),
    timing: {
      queue: durationOf(result.queueMs),
      compute: durationOf(result.computeMs),
      total: durationOf(clock.monotonicMs() - startMs),
      batchRows: result.batchRows,
      ...(read !== undefined && { features: durationOf(read.readMs) }),
    },
    ...(read !== undefined && {
      featureStatuses: [...read.statuses],
      featureService: read.featureService,
    }),
  };
}

/** One a row of the request: what was predicted, and why what was not. */
function inRequestOrder(predictions: readonly Prediction[], read: FeatureRows): Prediction[] {
  const all: Prediction[] = [];
  for (const [i, row] of read.rows.entries()) {
    all[row] = predictions[i]!;
  }
  for (const [row, error] of read.failures) {
    // Without details: JSON clients without a registry of their types could not read the answer.
    const { code, message } = toStatus(error);
    all[row] = { error: { code, message } };
  }
  return all;
}

/** Rows or entities: one of the two, and not too many. */
function checkCount(
  { rows, entities }: PredictRequest,
  { batched, modelVersion, featureService }: Servable,
  violations: Violations,
): void {
  if (rows.length > 0 && entities.length > 0) {
    violations.add(
      "entities",
      `${rows.length} rows and ${entities.length} entities came; send one of the two`,
    );
  } else if (entities.length > ENTITIES_MAX) {
    violations.add("entities", `${entities.length} entities came; expected 1 to ${ENTITIES_MAX}`);
  } else if (entities.length > 1 && !batched) {
    violations.add(
      "entities",
      `${entities.length} entities came; this model has no batch dimension and takes one a request`,
    );
  } else if (entities.length === 0 && (rows.length === 0 || rows.length > ROWS_MAX)) {
    const instead =
      featureService === undefined
        ? ""
        : `, or as many entities, from which ${modelVersion} reads ${featureService}`;
    violations.add("rows", `${rows.length} rows came; expected 1 to ${ROWS_MAX}${instead}`);
  }
}

function checkRequest(request: PredictRequest, violations: Violations): void {
  if (request.id.length > ID_CHARACTERS_MAX) {
    violations.add(
      "id",
      `id has ${request.id.length} characters; at most ${ID_CHARACTERS_MAX} are allowed`,
    );
  }
  if (request.version < 0n) {
    violations.add(
      "version",
      `version is ${request.version}; expected a version number, or 0 to let the weights choose`,
    );
  }
  if (request.priority > PRIORITY_LEVELS) {
    violations.add(
      "priority",
      `priority is ${request.priority}; ` +
        `expected 1 (first) to ${PRIORITY_LEVELS}, or 0 for the default`,
    );
  }
}

function readEventTime({ eventTime }: PredictRequest, violations: Violations): number | undefined {
  const eventUs = eventTime === undefined ? undefined : eventTimeOf(eventTime);
  if (eventTime !== undefined && eventUs === undefined) {
    const { seconds, nanos } = eventTime;
    violations.add(
      "event_time",
      `event_time is ${seconds} s and ${nanos} ns since 1970; expected ${EVENT_TIME_EXPECTED}`,
    );
  }
  return eventUs;
}

/** Names of the outputs that the answer shows. */
function shownOutputs(
  request: PredictRequest,
  { signature }: Servable,
  violations: Violations,
): ReadonlySet<string> {
  const known = signature.outputs.map(({ name }) => name);
  for (const [index, name] of request.outputs.entries()) {
    if (!known.includes(name)) {
      violations.add(
        `outputs[${index}]`,
        `output ${quote(name)} is not one of the model, which gives ${quoteAll(known)}`,
      );
    }
  }
  return new Set(request.outputs.length === 0 ? known : request.outputs);
}

/** Classes may come from an output that is not shown. */
function wantedOutputs(servable: Servable, shown: ReadonlySet<string>): number[] {
  return servable.signature.outputs
    .map((_, index) => index)
    .filter(
      (index) =>
        servable.classLabels.length > 0 || shown.has(servable.signature.outputs[index]!.name),
    );
}

type Message = StreamPredictRequest | Undecodable;

function streamPredict(
  engine: Engine,
  options: PredictOptions,
  requests: AsyncIterable<Message>,
  context: CallContext,
): AsyncIterable<StreamResponse> {
  const { path, principal, deadlineMs, trace } = context;
  const header = (name: string): string | undefined => context.header(name);
  return new OrderedStream<Message, StreamResponse>(
    requests,
    {
      requestBytes: (message) =>
        VALUE_BYTES * (message instanceof Undecodable ? 1 : valuesOfRequest(message.request)),
      answerBytes: ({ result }) =>
        result?.case !== "response"
          ? VALUE_BYTES
          : VALUE_BYTES * valuesOf((result.value.predictions ?? []).map((p) => p.outputs ?? null)),
      run: async (message, signal) => {
        if (message instanceof Undecodable) {
          throw message.error;
        }
        if (message.request === undefined) {
          throw new InvalidArgument("The message has no request; set its field `request`.", {
            reason: ErrorReason.INVALID_FIELD,
          });
        }
        const call = { path, principal, header, deadlineMs, trace, signal };
        const value = await predict(engine, options, message.request, call);
        return { result: { case: "response", value }, id: value.id ?? "" };
      },
      failed: (message, error) => {
        if (!(error instanceof DomainError)) {
          options.onUnforeseen(error, context);
        }
        const id = message instanceof Undecodable ? "" : (message.request?.id ?? "");
        return { result: { case: "error", value: toStatus(error) }, id };
      },
    },
    { window: options.streamWindow, signal: context.signal },
  );
}

function valuesOfRequest(request: PredictRequest | undefined): number {
  return valuesOf(request?.rows ?? []) + valuesOf(request?.entities ?? []);
}

/** How many values a JSON value is made of. */
function valuesOf(value: JsonValue): number {
  if (typeof value !== "object" || value === null) {
    return 1;
  }
  let count = 1;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    count += valuesOf(inner);
  }
  return count;
}
