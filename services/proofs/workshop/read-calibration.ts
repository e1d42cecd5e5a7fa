// Calibration data as the compiler takes it, from a file. Read in the process that compiles: millions
// of numbers keep a thread busy for a while.

import { readFile } from "node:fs/promises";
import { fromBinary } from "@bufbuild/protobuf";
import {
  CalibrationDataSchema,
  type InputValues,
} from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import type { CalibrationData } from "../compiler/sample-rows.ts";

/** Reads a plinth.proofs.v1.CalibrationData message in protobuf's binary form. */
export async function readCalibration(path: string): Promise<CalibrationData> {
  const { rows, inputs, labels } = fromBinary(CalibrationDataSchema, await readFile(path));
  const values = inputs.map((one) => [one.name, Float64Array.from(valuesOf(one))] as const);
  return {
    rows,
    inputs: Object.fromEntries(values),
    ...(labels.length === 0 ? {} : { labels: Float64Array.from(labels) }),
  };
}

function valuesOf({ floats, doubles }: InputValues): readonly number[] {
  return floats.length > 0 ? floats : doubles;
}
