// Calibration data, from the request to a blob. What is in the blob is read where it is used, in the
// process that compiles.

import { toBinary } from "@bufbuild/protobuf";
import {
  type CalibrationData,
  CalibrationDataSchema,
  type InputValues,
} from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import type { RequestFaults } from "../../common/request-faults.ts";

/** As the API promises. */
const ROWS_MAX = 10_000;
const INPUTS_MAX = 64;

/** So much is taken in and stored without keeping others waiting for long. */
const BYTES_MAX = 8 * 1024 * 1024;
const FLOAT_BYTES = 4;
const DOUBLE_BYTES = 8;

/** Notes everything that is wrong with calibration data, so far as it shows without the model. */
export function checkCalibration(faults: RequestFaults, data: CalibrationData): void {
  const { rows, inputs, labels } = data;
  const field = "calibration";
  const isCount = rows >= 1 && rows <= ROWS_MAX;
  faults.check(isCount, `${field}.rows`, `is ${rows}; 1 to ${ROWS_MAX} are taken`);
  const isLabelled = labels.length === 0 || labels.length === rows;
  faults.check(
    isLabelled,
    `${field}.labels`,
    `has ${labels.length}; one a row (${rows}), or none, were expected`,
  );
  const areLabels = labels.every(Number.isFinite);
  faults.check(areLabels, `${field}.labels`, "must be finite numbers");
  const isBounded = inputs.length >= 1 && inputs.length <= INPUTS_MAX;
  faults.check(isBounded, `${field}.inputs`, `must be 1 to ${INPUTS_MAX}, one an input`);
  const bytes = bytesOf(data);
  faults.check(
    bytes <= BYTES_MAX,
    field,
    `has ${bytes} bytes of values; up to ${BYTES_MAX} are taken: send fewer rows`,
  );
  const names = new Set(inputs.map(({ name }) => name));
  faults.check(names.size === inputs.length, `${field}.inputs`, "must name each input once");
  for (const [i, input] of inputs.slice(0, INPUTS_MAX).entries()) {
    checkInput(faults, { field: `${field}.inputs[${i}]`, input, rows });
  }
}

/** The blob's bytes. */
export function calibrationBytes(data: CalibrationData): Uint8Array {
  return toBinary(CalibrationDataSchema, data);
}

/** Of its values, as they travel. */
function bytesOf({ inputs, labels }: CalibrationData): number {
  return inputs.reduce(
    (sum, { floats, doubles }) => sum + FLOAT_BYTES * floats.length + DOUBLE_BYTES * doubles.length,
    DOUBLE_BYTES * labels.length,
  );
}

function checkInput(
  faults: RequestFaults,
  of: { readonly field: string; readonly input: InputValues; readonly rows: number },
): void {
  const { field, input, rows } = of;
  faults.check(input.name !== "", `${field}.name`, "must name an input of the model");
  const { floats, doubles } = input;
  const isOne = floats.length === 0 || doubles.length === 0;
  faults.check(isOne, field, "must have floats or doubles, not both");
  const count = valuesOf(input).length;
  const isWhole = count > 0 && rows > 0 && count % rows === 0;
  faults.check(
    isWhole,
    field,
    `has ${count} values, which is not the same for each of ${rows} rows`,
  );
}

function valuesOf({ floats, doubles }: InputValues): readonly number[] {
  return floats.length > 0 ? floats : doubles;
}
