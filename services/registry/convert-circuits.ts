// Reports of the proofs service to messages. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ModelCircuitSchema } from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { CircuitReport } from "./model-circuits.ts";

/** The circuits of a version as callers see them, newest first. */
export function toCircuits(
  report: CircuitReport | undefined,
): MessageInitShape<typeof ModelCircuitSchema>[] {
  return (report?.circuits ?? []).map((circuit) => ({
    ...circuit,
    reportTime: timestampFromDate(report!.reportTime),
  }));
}
