// A row that somebody claims was the input of a proof: as the circuit would have packed or committed
// to it, to be compared with what was proved.

import type { JsonValue } from "@bufbuild/protobuf";
import { DomainError } from "../common/errors/domain-error.ts";
import type { CircuitSchema } from "../proofs/circuit/circuit-schema.ts";
import { encodeInputs } from "../proofs/circuit/encode-inputs.ts";
import { inputLayout } from "../proofs/circuit/packing.ts";
import { commitmentOf } from "../proofs/circuit/poseidon.ts";
import { FIELD_ORDER } from "../proofs/field.ts";
import { signalCounts } from "../proofs/verifier/read-schema.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";

/** What is claimed. */
export interface GivenRow {
  /** Of the only input: a list; of any: by the names of the inputs, or of the only one's columns. */
  readonly value: JsonValue;
  /** Needed where the circuit commits to its inputs. */
  readonly salt?: bigint;
}

/** The row and the salt of the command line. @throws UsageError */
export function givenRow(row: string | undefined, salt: string | undefined): GivenRow | undefined {
  if (row === undefined) {
    if (salt !== undefined) {
      throw new UsageError("--salt goes with --row: together they show what was committed to.");
    }
    return undefined;
  }
  let value: JsonValue;
  try {
    value = JSON.parse(row) as JsonValue;
  } catch (error) {
    throw new UsageError(`--row is not JSON: ${(error as Error).message}.`);
  }
  if (typeof value !== "object" || value === null) {
    throw new UsageError(`--row must be an object such as {"age": 41}, or a list; got ${row}.`);
  }
  if (salt === undefined) {
    return { value };
  }
  if (!/^\d{1,77}$/.test(salt) || BigInt(salt) >= FIELD_ORDER) {
    throw new UsageError("--salt must be a number in decimal digits, as plinth prove showed it.");
  }
  return { value, salt: BigInt(salt) };
}

/** The commitment to the row, where the circuit commits; of its readings the one that was proved. */
export function commitmentTo(
  schema: CircuitSchema,
  row: GivenRow,
  publicValues: readonly string[],
): bigint | undefined {
  if (schema.inputMode === "private") {
    throw new CommandError("This circuit shows nothing of its inputs: no row can be compared.", {
      exitCode: ExitCode.invalidInput,
    });
  }
  if (schema.inputMode === "public") {
    if (row.salt !== undefined) {
      throw new UsageError(
        "This circuit shows its inputs; --salt is for those that commit to them.",
      );
    }
    return undefined;
  }
  const { salt } = row;
  if (salt === undefined) {
    throw new UsageError("This circuit commits to its inputs: give the row's --salt too.");
  }
  const proved = publicValues[signalCounts(schema).output];
  const commitments = readings(schema, row).map((signals) => commitmentOf(salt, signals));
  return commitments.find((commitment) => String(commitment) === proved) ?? commitments[0];
}

/** Why the row is not what a circuit with public inputs took; undefined where it is. */
export function rowFault(
  schema: CircuitSchema,
  row: GivenRow,
  publicValues: readonly string[],
): string | undefined {
  if (schema.inputMode !== "public") {
    return undefined;
  }
  const { output, inputs } = signalCounts(schema);
  const count = inputs.reduce((sum, signals) => sum + signals, 0);
  const proved = publicValues.slice(output, output + count);
  const isSame = readings(schema, row).some((signals) =>
    signals.every((signal, i) => String(signal) === proved[i]),
  );
  return isSame ? undefined : "the inputs that were proved are not those of the row";
}

/**
 * The packed row; a number that a float32 does not hold was rounded to one where the model takes
 * float32, which a schema does not say, so both are tried.
 */
function readings(schema: CircuitSchema, { value }: GivenRow): readonly (readonly bigint[])[] {
  const tensors = tensorsOf(schema, value);
  return [tensors.map((numbers) => numbers.map(Math.fround)), tensors].map((numbers) =>
    packed(schema, numbers),
  );
}

function packed(schema: CircuitSchema, tensors: readonly (readonly number[])[]): readonly bigint[] {
  const shown = { inputMode: "public", hasContext: false } as const;
  try {
    return encodeInputs(shown, schema.inputs.map(inputLayout), { kind: "floats", tensors }).map(
      BigInt,
    );
  } catch (error) {
    if (error instanceof RangeError || error instanceof DomainError) {
      throw new CommandError(`--row is nothing that the circuit takes: ${error.message}.`, {
        exitCode: ExitCode.invalidInput,
      });
    }
    throw error;
  }
}

function tensorsOf({ inputs }: CircuitSchema, value: JsonValue): readonly (readonly number[])[] {
  const names = inputs.map(({ name }) => name);
  const isNamed =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    names.every((name) => Object.hasOwn(value, name));
  if (isNamed) {
    return names.map((name) => numbersOf(value[name]!));
  }
  if (inputs.length === 1) {
    return [numbersOf(value)];
  }
  throw new UsageError(`--row must name the inputs of the circuit: ${names.join(", ")}.`);
}

/** All numbers in order; those of an object in the order in which it has them. */
function numbersOf(value: JsonValue): number[] {
  if (Array.isArray(value)) {
    return value.flatMap(numbersOf);
  }
  if (typeof value === "object" && value !== null) {
    return Object.values(value).flatMap(numbersOf);
  }
  if (typeof value === "boolean") {
    return [value ? 1 : 0];
  }
  if (typeof value !== "number") {
    throw new UsageError(`--row has ${JSON.stringify(value)} where a number is expected.`);
  }
  return [value];
}
