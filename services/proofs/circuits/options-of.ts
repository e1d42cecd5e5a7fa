// The options of a circuit: from the request to what is stored, and from there to what the compiler
// takes. Every range is checked before anything is stored, with the names of the API.

import { create, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  type CircuitOptions,
  CircuitOptionsSchema,
  CircuitOptions_InputMode as InputMode,
  type InputRange,
  CircuitOptions_OutputMode as OutputMode,
  CircuitOptions_Setup as Setup,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { powersOfTauName } from "../../common/names.ts";
import type { RequestFaults } from "../../common/request-faults.ts";
import type {
  InputMode as WireInputMode,
  OutputMode as WireOutputMode,
} from "../circuit/circuit-schema.ts";
import type { CircuitOptions as WireOptions } from "../circuit/compiled-circuit.ts";
import type { CompileOptions, InputOptions, WeightTarget } from "../compiler/compile-model.ts";

const WEIGHT_BITS = { default: 12, max: 32 };
const ACTIVATION_BITS = { default: 12, max: 32 };
const LEAF_BITS = { default: 24, max: 40 };
const BITS_MIN = 2;
const SCALE_BITS_MAX = 60;
const INPUTS_MAX = 64;
const DIMENSIONS_MAX = 8;
const NAME_LENGTH_MAX = 1024;

const INPUT_MODES: Readonly<Record<InputMode, WireInputMode>> = {
  [InputMode.UNSPECIFIED]: "public",
  [InputMode.PUBLIC]: "public",
  [InputMode.COMMITTED]: "committed",
  [InputMode.PRIVATE]: "private",
};

const OUTPUT_MODES: Readonly<Record<OutputMode, WireOutputMode | undefined>> = {
  [OutputMode.UNSPECIFIED]: undefined,
  [OutputMode.VALUES]: "values",
  [OutputMode.PACKED]: "packed",
  [OutputMode.ARGMAX]: "argmax",
  [OutputMode.THRESHOLD]: "threshold",
};

/** Notes everything that is wrong with the options of a circuit in this workspace. */
export function checkOptions(
  faults: RequestFaults,
  options: CircuitOptions,
  workspace: string,
): void {
  checkBits(faults, options);
  faults.known("options.input_mode", options.inputMode, InputMode);
  faults.known("options.output_mode", options.outputMode, OutputMode);
  faults.known("options.setup", options.setup, Setup);
  checkThreshold(faults, options);
  faults.text("options.output", options.output, NAME_LENGTH_MAX);
  const inputs = Object.entries(options.inputs);
  faults.check(inputs.length <= INPUTS_MAX, "options.inputs", `has more than ${INPUTS_MAX}`);
  for (const [name, range] of inputs.slice(0, INPUTS_MAX)) {
    checkRange(faults, `options.inputs[${JSON.stringify(name.slice(0, 80))}]`, range);
  }
  checkPowersOfTau(faults, options, workspace);
}

/** The options with the defaults in the place of what was not said. */
export function withDefaults(options: CircuitOptions): CircuitOptions {
  const hasTarget = options.weightTarget !== undefined;
  return create(CircuitOptionsSchema, {
    ...options,
    weightBits: options.weightBits || (hasTarget ? 0 : WEIGHT_BITS.default),
    activationBits: options.activationBits || ACTIVATION_BITS.default,
    leafBits: options.leafBits || LEAF_BITS.default,
    inputMode: options.inputMode || InputMode.PUBLIC,
    setup: options.setup || Setup.DEVELOPMENT,
  });
}

/** As the document holds them. */
export function storedOptions(options: CircuitOptions): JsonObject {
  return toJson(CircuitOptionsSchema, options) as JsonObject;
}

/** The way back. */
export function optionsOf(stored: JsonObject): CircuitOptions {
  return fromJson(CircuitOptionsSchema, stored, { ignoreUnknownFields: true });
}

/** The stored options once the compiler has decided how the output shows. */
export function withOutputMode(stored: JsonObject, mode: WireOutputMode): JsonObject {
  const decided = Object.entries(OUTPUT_MODES).find(([, wire]) => wire === mode)?.[0];
  return storedOptions(
    create(CircuitOptionsSchema, { ...optionsOf(stored), outputMode: Number(decided) }),
  );
}

/** What the circuit is made with. */
export function wireOptionsOf(
  options: CircuitOptions,
): Omit<WireOptions, "modelCommitment" | "constraintsMax"> {
  const outputMode = OUTPUT_MODES[options.outputMode];
  return {
    inputMode: INPUT_MODES[options.inputMode],
    ...(outputMode === undefined ? {} : { outputMode }),
    context: options.context,
    ...(options.setup === Setup.UNIVERSAL ? { sparse: true } : {}),
    ...(options.threshold === undefined ? {} : { threshold: options.threshold }),
  };
}

/** What the model is compiled with. */
export function compileOptionsOf(
  options: CircuitOptions,
  model: {
    /** Of the model version. */
    readonly classLabels: readonly string[];
    readonly fileBytesMax: number;
  },
): CompileOptions {
  const { classLabels, fileBytesMax } = model;
  const inputs = Object.entries(options.inputs).map(([name, r]) => [name, inputOf(r)] as const);
  return {
    ...(options.output === "" ? {} : { output: options.output }),
    inputs: Object.fromEntries(inputs),
    weightBits: options.weightBits || targetOf(options),
    activationBits: options.activationBits,
    leafBits: options.leafBits,
    ...(classLabels.length === 0 ? {} : { classLabels }),
    limits: { fileBytes: fileBytesMax },
  };
}

function checkBits(faults: RequestFaults, options: CircuitOptions): void {
  const { weightBits, activationBits, leafBits, weightTarget } = options;
  const check = (field: string, value: number, max: number) => {
    const fits = value === 0 || (value >= BITS_MIN && value <= max);
    faults.check(fits, `options.${field}`, `is ${value}; 0 (the default) or ${BITS_MIN} to ${max}`);
  };
  check("weight_bits", weightBits, WEIGHT_BITS.max);
  check("activation_bits", activationBits, ACTIVATION_BITS.max);
  check("leaf_bits", leafBits, LEAF_BITS.max);
  if (weightTarget !== undefined) {
    const { agreement, error } = weightTarget;
    const field = "options.weight_target";
    faults.check(weightBits === 0, field, "needs weight_bits 0: either they are said or found");
    const isShare = agreement >= 0 && agreement <= 1;
    faults.check(isShare, `${field}.agreement`, `is ${agreement}; a share from 0 to 1`);
    const isError = error >= 0 && Number.isFinite(error);
    faults.check(isError, `${field}.error`, `is ${error}; 0 (not asked) or more`);
    faults.check(agreement !== 0 || error !== 0, field, "must say agreement or error");
  }
}

function checkThreshold(faults: RequestFaults, { outputMode, threshold }: CircuitOptions): void {
  const field = "options.threshold";
  if (outputMode === OutputMode.THRESHOLD) {
    faults.check(threshold !== undefined, field, "must be said with OUTPUT_MODE_THRESHOLD");
    faults.check(Number.isFinite(threshold ?? 0), field, `is ${threshold}; a finite number`);
  } else {
    faults.check(threshold === undefined, field, "is for OUTPUT_MODE_THRESHOLD only");
  }
}

function checkRange(faults: RequestFaults, field: string, range: InputRange): void {
  const { shape, scaleBits, low, high } = range;
  const isShape =
    shape.length <= DIMENSIONS_MAX && shape.every((size) => size >= 1n && size < 2n ** 31n);
  faults.check(isShape, `${field}.shape`, `must be up to ${DIMENSIONS_MAX} sizes from 1 on`);
  const said = [scaleBits, low, high].filter((value) => value !== undefined).length;
  faults.check(
    said === 0 || said === 3,
    field,
    "must say scale_bits, low and high, or none of them",
  );
  const isScale = Math.abs(scaleBits ?? 0) <= SCALE_BITS_MAX;
  faults.check(
    isScale,
    `${field}.scale_bits`,
    `is ${scaleBits}; -${SCALE_BITS_MAX} to ${SCALE_BITS_MAX}`,
  );
  for (const [name, value] of [["low", low] as const, ["high", high] as const]) {
    faults.check(Number.isFinite(value ?? 0), `${field}.${name}`, `is ${value}; a finite number`);
  }
  if (low !== undefined && high !== undefined) {
    faults.check(!(low >= high), `${field}.high`, `is ${high}; more than low, which is ${low}`);
  }
}

function checkPowersOfTau(
  faults: RequestFaults,
  { setup, powersOfTau }: CircuitOptions,
  workspace: string,
): void {
  const field = "options.powers_of_tau";
  if (setup !== Setup.CEREMONY && setup !== Setup.UNIVERSAL) {
    faults.check(powersOfTau === "", field, "is for SETUP_CEREMONY and SETUP_UNIVERSAL only");
    return;
  }
  const pattern = powersOfTauName.pattern;
  const name = powersOfTauName.match(powersOfTau);
  faults.check(
    name !== undefined,
    field,
    `must look like "${pattern}": import a public file with ImportPowersOfTau first`,
  );
  if (name !== undefined) {
    faults.check(name.workspace === workspace, field, `is not of workspace "${workspace}"`);
  }
}

function targetOf({ weightTarget }: CircuitOptions): WeightTarget {
  const { agreement = 0, error = 0 } = weightTarget ?? {};
  return { ...(agreement > 0 && { agreement }), ...(error > 0 && { error }) };
}

function inputOf({ shape, scaleBits, low, high }: InputRange): InputOptions {
  return {
    ...(shape.length === 0 ? {} : { shape: shape.map(Number) }),
    ...(scaleBits === undefined ? {} : { scaleBits }),
    ...(low === undefined ? {} : { lo: low }),
    ...(high === undefined ? {} : { hi: high }),
  };
}
