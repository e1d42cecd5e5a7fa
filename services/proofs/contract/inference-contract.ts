// The Solidity contract around the verifier: takes the inputs as bytes and the output as numbers,
// packs them into public values as the circuit has them, and says with an event what was proved.

import type { CircuitSchema, SchemaInput } from "../circuit/circuit-schema.ts";
import { packedPerSignal } from "../circuit/circuit-schema.ts";
import type { EachEncoding, FixedEncoding } from "../compiler/integer-graph.ts";
import { signalCounts, valueCount } from "../verifier/read-schema.ts";
import { laneOffset } from "../verifier/signal-encoding.ts";
import { rangeChecks, rangeFunctions } from "./range-checks.ts";

/** Lines about values with encodings of their own. */
const EACH_LINES_MAX = 100;

/** The contract InferenceVerifier, which extends Groth16Verifier. */
export function inferenceContract(schema: CircuitSchema): string {
  const counts = signalCounts(schema);
  const { output } = schema;
  return `/// Checks that the model of one circuit gave this output for these inputs.
///
/// Input (${inputText(schema)}).
${schema.inputs
  .flatMap(inputLines)
  .map((line) => `///   ${line}\n`)
  .join("")}/// Output (${outputText(schema)}).
/// Context: ${contextText(schema)}
///
/// That a proof was seen before is for the calling contract to know: it must choose contexts that
/// are its own (an address, a block, a counter) and use each of them once.
contract InferenceVerifier is Groth16Verifier {
    /// SHA-256 of the model's integer graph. The verifying key is of this model and no other.
    bytes32 public constant MODEL_COMMITMENT =
        0x${schema.modelCommitment};

    /// Bytes of the input.
    uint256 public constant INPUT_BYTES = ${inputBytes(schema)};

    /// Numbers in the output.
    uint256 public constant OUTPUT_VALUES = ${outputValues(schema)};

    /// A number of the output stands for that number divided by 2 to this power.
    int256 public constant OUTPUT_SCALE_BITS = ${isScaled(schema) ? output.scaleBits : 0};

    /// A proof was checked: the model gives the output for the input whose keccak256 is inputHash.
    event InferenceVerified(
        bytes32 indexed modelCommitment,
        bytes32 indexed inputHash,
        uint256 indexed context,
        int256[] output
    );

    error InputLength(uint256 expected, uint256 actual);
    /// Of the number that begins with this byte.
    error InputOutOfRange(uint256 byteIndex);
    error OutputLength(uint256 expected, uint256 actual);
    error OutputOutOfRange(uint256 index);
    error ContextOutOfRange();
    error ProofLength(uint256 expected, uint256 actual);
    error ProofInvalid();

    /// As checkInference, but reverts with ProofInvalid where the proof is not valid, and emits
    /// InferenceVerified where it is. Returns keccak256 of the input.
    function verifyInference(
        bytes calldata input,
        int256[] calldata output,
        uint256 context,
        bytes calldata proof
    ) external returns (bytes32 inputHash) {
        if (!checkInference(input, output, context, proof)) revert ProofInvalid();
        inputHash = keccak256(input);
        emit InferenceVerified(MODEL_COMMITMENT, inputHash, context, output);
    }

    /// Whether the proof (256 bytes) proves that the model gives the output for the input. Reverts
    /// where the input, the output or the context is none of this circuit.
    function checkInference(
        bytes calldata input,
        int256[] calldata output,
        uint256 context,
        bytes calldata proof
    ) public view returns (bool) {
        if (proof.length != 256) revert ProofLength(256, proof.length);
        if (input.length != INPUT_BYTES) revert InputLength(INPUT_BYTES, input.length);
        if (output.length != OUTPUT_VALUES) revert OutputLength(OUTPUT_VALUES, output.length);
        uint256[${counts.total}] memory publicValues;
        writeOutput(output, publicValues);
        writeInput(input, publicValues);
        ${contextLines(schema, counts.total - 1)}
        return verifyWords(abi.decode(proof, (uint256[8])), publicValues);
    }

${outputFunction(schema, counts.total)}

${inputFunctions(schema, counts.total, counts.output)}
}
`;
}

/** Bytes of the input: lanes of 1, 2 or 4 bytes, a commitment, or none. */
function inputBytes(schema: CircuitSchema): number {
  switch (schema.inputMode) {
    case "public":
      return schema.inputs.reduce(
        (sum, { shape, bits }) => sum + (valueCount(shape) * bits) / 8,
        0,
      );
    case "committed":
      return 32;
    case "private":
      return 0;
  }
}

/** Numbers in the output. */
function outputValues(schema: CircuitSchema): number {
  return isScaled(schema) ? valueCount(schema.output.shape) : 1;
}

function isScaled({ outputMode }: CircuitSchema): boolean {
  return outputMode === "values" || outputMode === "packed";
}

function outputFunction(schema: CircuitSchema, total: number): string {
  const head = `    /// The output's public values, the first of all.
    function writeOutput(int256[] calldata output, uint256[${total}] memory publicValues)
        private
        pure
    {`;
  const { output, outputMode } = schema;
  switch (outputMode) {
    case "values":
      return `${head}
        int256 bound = int256(GROUP_ORDER / 2);
        for (uint256 i = 0; i < OUTPUT_VALUES; ++i) {
            int256 value = output[i];
            if (value > bound || value < -bound) revert OutputOutOfRange(i);
            publicValues[i] =
                value < 0 ? GROUP_ORDER - uint256(-value) : uint256(value);
        }
    }`;
    case "packed": {
      const perSignal = packedPerSignal(output.bits);
      return `${head}
        // ${perSignal} of ${output.bits} bits in one public value, the first in the highest bits.
        for (uint256 i = 0; i < OUTPUT_VALUES; ++i) {
            int256 value = output[i];
            if (value < ${-BigInt(output.offset)} || value >= ${2n ** BigInt(output.bits) - BigInt(output.offset)}) {
                revert OutputOutOfRange(i);
            }
            uint256 shift = ${output.bits} * (${perSignal - 1} - i % ${perSignal});
            publicValues[i / ${perSignal}] |= uint256(value + ${output.offset}) << shift;
        }
    }`;
    }
    case "argmax":
    case "threshold": {
      const end = outputMode === "threshold" ? 2 : classesOf(schema);
      return `${head}
        if (output[0] < 0 || output[0] >= ${end}) revert OutputOutOfRange(0);
        publicValues[0] = uint256(output[0]);
    }`;
    }
  }
}

/** One more than the greatest class; where the model does not say, all that a lane may hold. */
function classesOf({ output }: CircuitSchema): number {
  const classes = Math.max(output.classLabels.length, valueCount(output.shape));
  return classes > 1 ? classes : Number.MAX_SAFE_INTEGER;
}

function inputFunctions(schema: CircuitSchema, total: number, first: number): string {
  const head = `    /// The input's public values, which follow the output's.
    function writeInput(bytes calldata input, uint256[${total}] memory publicValues) private pure {`;
  switch (schema.inputMode) {
    case "private":
      return `${head}}`;
    case "committed":
      return `${head}
        publicValues[${first}] = uint256(bytes32(input));
    }`;
    case "public": {
      const calls: string[] = [];
      let byte = 0;
      let at = first;
      for (const input of schema.inputs) {
        const bytes = (valueCount(input.shape) * input.bits) / 8;
        const chunk = (packedPerSignal(input.bits) * input.bits) / 8;
        calls.push(`pack(input, ${byte}, ${byte + bytes}, ${chunk}, publicValues, ${at});`);
        calls.push(...rangeChecks(input, { byte, bytes, slot: at }));
        byte += bytes;
        at += signalCounts({ ...schema, inputs: [input] }).inputs[0]!;
      }
      return `${head}
${calls.map((call) => `        ${call}`).join("\n")}
    }

${packFunction(total)}${rangeFunctions(calls)}`;
    }
  }
}

function packFunction(total: number): string {
  return `    /// Bytes from..end of the input into public values from slot on, chunk bytes each; the bytes
    /// that lack in the last are 0.
    function pack(
        bytes calldata input,
        uint256 from,
        uint256 end,
        uint256 chunk,
        uint256[${total}] memory publicValues,
        uint256 slot
    ) private pure {
        assembly ("memory-safe") {
            let shift := sub(256, mul(8, chunk))
            let to := add(publicValues, mul(32, slot))
            for {} lt(from, end) { from := add(from, chunk) } {
                mstore(to, shr(shift, calldataload(add(input.offset, from))))
                to := add(to, 32)
            }
            // What the last read beyond the end is not of this input.
            let beyond := mul(8, sub(from, end))
            to := sub(to, 32)
            mstore(to, shl(beyond, shr(beyond, mload(to))))
        }
    }`;
}

function contextLines(schema: CircuitSchema, at: number): string {
  if (!schema.hasContext) {
    return "// This circuit has no context: one that is given would mean nothing.\n        if (context != 0) revert ContextOutOfRange();";
  }
  return `if (context >= GROUP_ORDER) revert ContextOutOfRange();\n        publicValues[${at}] = context;`;
}

function inputText(schema: CircuitSchema): string {
  switch (schema.inputMode) {
    case "public":
      return `${inputBytes(schema)} bytes: each number big-endian, in this order`;
    case "committed":
      return "32 bytes: the salted Poseidon hash of the inputs, which stay secret";
    case "private":
      return "none: it stays secret, and only that some input gives the output is proved";
  }
}

function inputLines(input: SchemaInput): string[] {
  const { name, shape, encoding, bits, offset } = input;
  const count = `${plain(name)}: ${valueCount(shape)} of ${bits / 8} byte${bits > 8 ? "s" : ""}`;
  switch (encoding.kind) {
    case "ordered-float32":
      return [`${count}, the bits of a float32 in the order of its value`];
    case "fixed":
      return [`${count}, ${fixedText(encoding, offset)}`];
    case "fixed-each":
      return [`${count}, each in a way of its own`, ...eachLines(input, encoding)];
  }
}

function fixedText({ scaleBits, lo, hi }: Omit<FixedEncoding, "kind">, offset: number): string {
  return `round(x * 2^${scaleBits}) + ${offset}, x * 2^${scaleBits} from ${lo} to ${hi}`;
}

/** A line for values that follow one another and are encoded in one way. */
function eachLines(input: SchemaInput, { scaleBits, lo, hi }: EachEncoding): string[] {
  const texts = scaleBits.map((bits, i) =>
    fixedText({ scaleBits: bits, lo: lo[i]!, hi: hi[i]! }, laneOffset(input, i)),
  );
  const starts = texts.flatMap((text, i) => (text === texts[i - 1] ? [] : [i]));
  const lines = starts.slice(0, EACH_LINES_MAX).map((from, i) => {
    const last = (starts[i + 1] ?? texts.length) - 1;
    return `  ${from === last ? from : `${from} to ${last}`}: ${texts[from]}`;
  });
  const isCut = starts.length > EACH_LINES_MAX;
  return isCut ? [...lines, "  and so on: the schema of the circuit says it of all"] : lines;
}

function outputText(schema: CircuitSchema): string {
  const { output, outputMode } = schema;
  switch (outputMode) {
    case "values":
    case "packed":
      return `${outputValues(schema)} times a value of ${plain(output.name)} times 2^${output.scaleBits}`;
    case "argmax":
      return `one number: the index of the first largest value of ${plain(output.name)}`;
    case "threshold":
      return `one number: 1 where ${plain(output.name)} is at least ${output.threshold} / 2^${output.scaleBits}, else 0`;
  }
}

function contextText({ hasContext }: CircuitSchema): string {
  return hasContext
    ? "any number below the order of the group; the proof is for this one only."
    : "this circuit has none; it must be 0.";
}

/** Names come from models of strangers and must not end a comment or hide what follows. */
function plain(name: string): string {
  return name.replace(/[^A-Za-z0-9_.:-]/g, "?").slice(0, 64);
}
