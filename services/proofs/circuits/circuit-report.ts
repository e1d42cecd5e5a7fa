// What compiling found, as the API's messages say it.

import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { CalibrationReportSchema } from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import { CircuitReportSchema } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { durationOf } from "../../common/duration.ts";
import type { CalibrationReport } from "../compiler/calibration-report.ts";
import type { CompiledFiles } from "../workshop/workshop-port.ts";

/** plinth.proofs.v1.CalibrationReport as protobuf JSON. */
export function calibrationJson(report: CalibrationReport): JsonObject {
  const { samples, rows, refusedRows, metric, argmaxAgreement, outputs, layers } = report;
  const message = create(CalibrationReportSchema, {
    samples,
    rows,
    refusedRows,
    ...(metric === undefined
      ? {}
      : { metric: metric.name, floatMetric: metric.float, quantizedMetric: metric.quantized }),
    ...(argmaxAgreement === undefined ? {} : { argmaxAgreement }),
    outputs: outputs.map(({ max, mean, rms, p99, bound }) => ({ max, mean, rms, p99, bound })),
    layers: layers.map(({ name, kind, values, bitsMax, bitsSeen, dead, constant }) => ({
      name,
      kind,
      values,
      bitsMax,
      bitsSeen,
      dead,
      constant,
    })),
    weightBits: report.weightBits,
    activationBits: report.activationBits,
  });
  return toJson(CalibrationReportSchema, message) as JsonObject;
}

/** plinth.proofs.v1.CircuitReport as protobuf JSON, without what comes of the key. */
export function reportJson(compiled: CompiledFiles): JsonObject {
  const { report, constraintsBytes, compileMs, checkMs } = compiled;
  const message = create(CircuitReportSchema, {
    constraints: BigInt(report.constraints),
    linearConstraints: BigInt(report.linear),
    wires: BigInt(report.wires),
    publicValues: report.publicSignals,
    domain: BigInt(report.domain),
    headroom: report.headroom.map(({ step, bits, spareBits }) => ({ step, bits, spareBits })),
    deadNeurons: BigInt(report.deadNeurons),
    circuitBytes: BigInt(constraintsBytes),
    compileTime: durationOf(compileMs),
    checkTime: durationOf(checkMs),
  });
  return toJson(CircuitReportSchema, message) as JsonObject;
}
