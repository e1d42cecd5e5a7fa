// What the public values of a proof say, as the API says it. Runs in a browser too: the command
// line and web pages show proofs with it.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type {
  ProvedOutputSchema,
  ProvedStatementSchema,
} from "../../../gen/plinth/proofs/v1/proof_pb.js";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import {
  type DecodedOutput,
  type DecodedSignals,
  decodeSignals,
} from "../verifier/decode-signals.ts";
import { signalCounts } from "../verifier/read-schema.ts";

type OutputMessage = MessageInitShape<typeof ProvedOutputSchema>;
type StatementMessage = MessageInitShape<typeof ProvedStatementSchema>;

/** The output that the public values hold. `schema` is the one that they were decoded by. */
export function outputMessage(schema: CircuitSchema, output: DecodedOutput): OutputMessage {
  const { name } = output;
  const { shape, scaleBits, after } = schema.output;
  switch (output.mode) {
    case "values":
    case "packed":
      return {
        name,
        shape: shape.map(BigInt),
        integers: output.integers.map(String),
        scaleBits,
        values: [...output.values],
        after: after === "nothing" ? "" : after,
        valuesAfter: [...(output.after ?? [])],
        ...(output.predicted === undefined ? {} : classMessage(output.predicted)),
      };
    case "argmax":
      return { name, ...classMessage(output) };
    case "threshold":
      return { name, scaleBits, reached: output.reached, threshold: output.threshold };
  }
}

/** All that the public values say. */
export function statementMessage(
  schema: CircuitSchema,
  { inputs, output, context }: DecodedSignals,
): StatementMessage {
  return {
    output: outputMessage(schema, output),
    ...(inputs.mode === "public"
      ? {
          inputs: inputs.tensors.map(({ name, shape, values }) => ({
            name,
            shape: shape.map(BigInt),
            values: [...values],
          })),
        }
      : {}),
    ...(inputs.mode === "committed" ? { inputCommitment: String(inputs.commitment) } : {}),
    ...(context === undefined ? {} : { context: bytesOfNumber(context) }),
  };
}

/**
 * The output alone, without a look at the inputs, of which there may be many. Takes the public
 * values of a row, all or those of the output.
 * @throws Refusal where they are nothing that the schema describes
 */
export function decodeOutput(
  schema: CircuitSchema,
  publicValues: readonly bigint[],
): DecodedOutput {
  const outputOnly: CircuitSchema = { ...schema, inputMode: "private", hasContext: false };
  const { output: count } = signalCounts(schema);
  return decodeSignals(outputOnly, publicValues.slice(0, count)).output;
}

/** A number as big-endian bytes without leading zeros; none for 0. */
export function bytesOfNumber(value: bigint): Uint8Array {
  const hex = value === 0n ? "" : value.toString(16);
  return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
}

/** The number that big-endian bytes are; 0 for none. */
export function numberOfBytes(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`);
}

function classMessage({ index, label = "" }: { readonly index: number; readonly label?: string }) {
  return { classIndex: BigInt(index), classLabel: label };
}
