// What a request of Predict says, checked as far as that goes without its rows.

import type { PredictRequest } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Servable } from "../engine.ts";
import { EVENT_TIME_EXPECTED, eventTimeOf } from "../protocol/event-time.ts";
import { PRIORITY_LEVELS } from "../protocol/infer-parameters.ts";
import { quote, quoteAll, type Violations } from "../protocol/violations.ts";

/** As the proto says. */
const ROWS_MAX = 1024;
/** As many as one online read takes. */
const ENTITIES_MAX = 1000;
const ID_CHARACTERS_MAX = 256;

/** Rows or entities: one of the two, and not too many. */
export function checkCount(
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

/** What is wrong with fields that need no model. */
export function checkRequest(request: PredictRequest, violations: Violations): void {
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

/** Microseconds since 1970. */
export function readEventTime(
  { eventTime }: PredictRequest,
  violations: Violations,
): number | undefined {
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
export function shownOutputs(
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
export function wantedOutputs(servable: Servable, shown: ReadonlySet<string>): number[] {
  return servable.signature.outputs
    .map((_, index) => index)
    .filter(
      (index) =>
        servable.classLabels.length > 0 || shown.has(servable.signature.outputs[index]!.name),
    );
}
