// From public values, as the prover gives them, to what the contract's functions take.

import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { wordBytes } from "../verifier/curve-points.ts";
import type { DecodedInputs, DecodedOutput } from "../verifier/decode-signals.ts";
import { decodeSignals } from "../verifier/decode-signals.ts";
import type { Proof } from "../verifier/proof-format.ts";
import { laneOffset } from "../verifier/signal-encoding.ts";
import type { InferenceCall } from "./contract-abi.ts";

/**
 * The call that shows this proof to the contract.
 *
 * @throws Refusal where the public values are not those of the schema.
 */
export function inferenceCallOf(
  schema: CircuitSchema,
  publicValues: readonly bigint[],
  proof: Proof,
): InferenceCall {
  const { inputs, output, context } = decodeSignals(schema, publicValues);
  return {
    input: inputOf(schema, inputs),
    output: outputOf(output),
    context: context ?? 0n,
    proof,
  };
}

/** Every number big-endian in 1, 2 or 4 bytes, its offset added; or the commitment; or nothing. */
function inputOf(schema: CircuitSchema, inputs: DecodedInputs): Uint8Array {
  switch (inputs.mode) {
    case "public": {
      const bytes = inputs.tensors.flatMap(({ integers }, i) => {
        const input = schema.inputs[i]!;
        return integers.flatMap((whole, at) =>
          bigEndian(whole + laneOffset(input, at), input.bits / 8),
        );
      });
      return Uint8Array.from(bytes);
    }
    case "committed":
      return wordBytes([inputs.commitment]);
    case "private":
      return new Uint8Array();
  }
}

function bigEndian(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) % 256);
}

function outputOf(output: DecodedOutput): readonly bigint[] {
  switch (output.mode) {
    case "values":
    case "packed":
      return output.integers;
    case "argmax":
      return [BigInt(output.index)];
    case "threshold":
      return [output.reached ? 1n : 0n];
  }
}
