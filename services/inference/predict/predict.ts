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
import type { Engine, InferResult, ModelRef, Servable } from "../engine.ts";
import { deploymentRef, workspaceOf } from "../protocol/deployment-ref.ts";
import { PRIORITY_DEFAULT } from "../protocol/infer-parameters.ts";
import { OrderedStream, type StreamWindow } from "../protocol/ordered-stream.ts";
import { Violations } from "../protocol/violations.ts";
import type { AnswerProver, ProvedAnswer } from "../verifiable/answer-prover.ts";
import { circuitPrediction } from "../verifiable/circuit-predictions.ts";
import { checkProofFields } from "../verifiable/proof-request.ts";
import type { FeatureReader, FeatureRows } from "./feature-rows.ts";
import {
  checkCount,
  checkRequest,
  readEventTime,
  shownOutputs,
  wantedOutputs,
} from "./predict-request.ts";
import { type Prediction, predictionsFrom } from "./predictions.ts";
import { tensorsFromRows } from "./rows.ts";

export interface PredictOptions {
  readonly features: FeatureReader;
  readonly prover: AnswerProver;
  readonly streamWindow: StreamWindow;
  readonly clock: Clock;
  /** For errors inside a stream that nobody foresaw; they are answered as INTERNAL. */
  readonly onUnforeseen: (error: unknown, context: CallContext) => void;
}

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
  options: PredictOptions,
  request: PredictRequest,
  context: CallContext,
): Promise<Response> {
  const { clock, features, prover } = options;
  const startMs = clock.monotonicMs();
  const { ref, servable, shown, eventUs } = checked(engine, options, request, context);
  const { entities } = request;
  const violations = new Violations();
  const read =
    entities.length === 0
      ? undefined
      : await features.rows({ entities, servable, workspace: ref.workspace }, context);
  const { tensors } = read ?? tensorsFromRows(request.rows, servable, violations);
  violations.throwIfAny(ErrorReason.TENSOR_MISMATCH);
  const id = request.id === "" ? randomUUID() : request.id;
  const count = read?.rows.length ?? request.rows.length;
  const proved = request.verifiable
    ? await prover.answer(
        { request, id, ref, servable, tensors, rows: { count, of: rowPlace(read) } },
        context,
      )
    : undefined;
  const outputs = wantedOutputs(servable, shown);
  const result = await engine.infer({
    id,
    servable,
    inputs: tensors,
    outputs,
    ...(outputs.length > shown.size && { shown }),
    rows: servable.batched ? count : 1,
    priority: request.priority === 0 ? PRIORITY_DEFAULT : request.priority,
    deadlineMs: context.deadlineMs,
    signal: context.signal,
    trace: context.trace,
    routingKey: request.routingKey,
    eventUs,
    features: read?.features,
    ...(request.context.length > 0 && { context: request.context }),
  });
  const { batched, classLabels } = servable;
  const floats = predictionsFrom(result.outputs, { rows: count, batched, classLabels, shown });
  const proofs = await proved?.proofs();
  const predictions =
    proved === undefined ? floats : provedPredictions(floats, proved, { classLabels, shown });
  return {
    id,
    modelVersion: servable.modelVersion,
    predictions: read === undefined ? predictions : inRequestOrder(predictions, read),
    timing: timing(result, read, clock.monotonicMs() - startMs),
    ...(read !== undefined && {
      featureStatuses: [...read.statuses],
      featureService: read.featureService,
    }),
    ...(proved !== undefined && {
      proofJob: proved.proofJob,
      circuit: proved.circuit,
      proofs: [...(proofs ?? [])],
    }),
  };
}

/** A request that may be carried out, as far as that can be told without its rows. */
interface Checked {
  readonly ref: ModelRef;
  readonly servable: Servable;
  readonly shown: ReadonlySet<string>;
  readonly eventUs: number | undefined;
}

function checked(
  engine: Engine,
  { clock, prover }: PredictOptions,
  request: PredictRequest,
  context: CallContext,
): Checked {
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
  checkCount(request, servable, violations);
  const shown = shownOutputs(request, servable, violations);
  checkProofFields(request, { servable, leftMs: context.deadlineMs - clock.now() }, violations);
  violations.throwIfAny(ErrorReason.INVALID_FIELD);
  if (request.verifiable) {
    prover.require(servable, ref);
  }
  return { ref, servable, shown, eventUs };
}

function timing(
  { queueMs, computeMs, batchRows }: InferResult,
  read: FeatureRows | undefined,
  totalMs: number,
): NonNullable<Response["timing"]> {
  return {
    queue: durationOf(queueMs),
    compute: durationOf(computeMs),
    total: durationOf(totalMs),
    batchRows,
    ...(read !== undefined && { features: durationOf(read.readMs) }),
  };
}

/** Names a row of the tensors as the request does. */
function rowPlace(read: FeatureRows | undefined): (row: number) => string {
  return (row) => (read === undefined ? `rows[${row}]` : `entities[${read.rows[row]}]`);
}

/** The circuit's answers with the float model's outputs beside them. */
function provedPredictions(
  floats: readonly Prediction[],
  { outputs }: ProvedAnswer,
  options: Parameters<typeof circuitPrediction>[1],
): Prediction[] {
  return floats.map((float, i) => ({
    ...circuitPrediction(outputs[i]!, options),
    ...(float.outputs !== undefined && { floatOutputs: float.outputs }),
  }));
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
        result?.case !== "response" ? VALUE_BYTES : VALUE_BYTES * valuesOfResponse(result.value),
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

function valuesOfResponse({ predictions = [], proofs = [] }: Response): number {
  const shown = predictions.flatMap((p) => [p.outputs ?? null, p.floatOutputs ?? null]);
  return proofs.reduce(
    (sum, { publicValues }) => sum + (publicValues?.length ?? 0),
    valuesOf(shown),
  );
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
