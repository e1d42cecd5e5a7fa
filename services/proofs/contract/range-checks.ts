// How the contract holds the numbers of an input to what the circuit was made for: all to one range
// in a loop, or each to its own, a whole public value at a time.

import type { CircuitSchema, SchemaInput } from "../circuit/circuit-schema.ts";
import { packedPerSignal } from "../circuit/circuit-schema.ts";
import type { EachEncoding } from "../compiler/integer-graph.ts";
import { encodedRange, laneShift, NEGATIVE_ZERO_KEY } from "../verifier/signal-encoding.ts";

const RANGE_CALL = "checkRange";
const LANES_CALL = "checkLanes";

/** Where an input stands: in which bytes of the call, and from which public value on. */
export interface InputPlace {
  readonly byte: number;
  readonly bytes: number;
  readonly slot: number;
}

/** Calls of checkRange and checkLanes, as statements; none where every lane may hold anything. */
export function rangeChecks(input: SchemaInput, place: InputPlace): string[] {
  const { encoding, bits, offset } = input;
  if (encoding.kind === "fixed-each") {
    return laneChecks(encoding, bits, place);
  }
  const { lo, hi } = encodedRange(encoding);
  const [low, high] = [lo + offset, hi + offset];
  if (low === 0 && high === 2 ** bits - 1) return [];
  // No lane has this number where the encoding leaves none out.
  const except = encoding.kind === "ordered-float32" ? NEGATIVE_ZERO_KEY : high + 1;
  const bytes = `${place.byte}, ${place.byte + place.bytes}, ${bits / 8}`;
  return [`${RANGE_CALL}(input, ${bytes}, ${low}, ${high}, ${except});`];
}

/** How many public values of the inputs have lanes that are held each to its own range. */
export function laneCheckCount({ inputMode, inputs }: CircuitSchema): number {
  const place = { byte: 0, bytes: 0, slot: 0 };
  const calls = inputMode === "public" ? inputs.flatMap((input) => rangeChecks(input, place)) : [];
  return calls.filter((call) => call.startsWith(LANES_CALL)).length;
}

/** A call for each public value in which not all lanes may be full; what is lowest is 0 in a lane. */
function laneChecks({ lo, hi }: EachEncoding, bits: number, { byte, slot }: InputPlace): string[] {
  const highs = hi.map((value, i) => value - lo[i]!);
  const perSignal = packedPerSignal(bits);
  const every = everyOtherLane(bits);
  const calls: string[] = [];
  for (let from = 0; from < highs.length; from += perSignal) {
    const missing = [0n, 0n];
    highs.slice(from, from + perSignal).forEach((high, lane) => {
      const isOdd = (perSignal - 1 - lane) % 2;
      const shift = laneShift(bits, lane) - isOdd * bits;
      missing[isOdd]! |= BigInt(2 ** bits - 1 - high) << BigInt(shift);
    });
    if (missing.every((value) => value === 0n)) continue;
    const place = `publicValues[${slot + from / perSignal}]`;
    const numbers = [every, ...missing].map(word32).join(", ");
    calls.push(`${LANES_CALL}(${place}, ${bits}, ${numbers}, ${byte + (from * bits) / 8});`);
  }
  return calls;
}

/** Ones in every other lane of a public value, the lowest one among them. */
function everyOtherLane(bits: number): bigint {
  const lane = (1n << BigInt(bits)) - 1n;
  let lanes = 0n;
  for (let shift = 0; shift < packedPerSignal(bits) * bits; shift += 2 * bits) {
    lanes |= lane << BigInt(shift);
  }
  return lanes;
}

/** In full: Solidity takes 40 digits for an address, and refuses it. */
function word32(value: bigint): string {
  return `0x${value.toString(16).padStart(64, "0")}`;
}

/** The functions that the calls need. */
export function rangeFunctions(calls: readonly string[]): string {
  const functions = [
    calls.some((call) => call.startsWith(RANGE_CALL)) ? `\n\n${RANGE_FUNCTION}` : "",
    calls.some((call) => call.startsWith(LANES_CALL)) ? `\n\n${LANES_FUNCTION}` : "",
  ];
  return functions.join("");
}

const RANGE_FUNCTION = `    /// Holds every number of size bytes to what the circuit was made for.
    function checkRange(
        bytes calldata input,
        uint256 from,
        uint256 end,
        uint256 size,
        uint256 low,
        uint256 high,
        uint256 except
    ) private pure {
        unchecked {
            for (; from < end; from += size) {
                uint256 value;
                assembly {
                    value := shr(sub(256, mul(8, size)), calldataload(add(input.offset, from)))
                }
                if (value < low || value > high || value == except) revert InputOutOfRange(from);
            }
        }
    }`;

const LANES_FUNCTION = `    /// Holds each number of a public value to a highest one of its own, the first of them beginning
    /// with byte from of the input. What a lane lacks from its highest number to all ones is added
    /// to it: only a higher number carries out of its lane. So that carries have where to go, the
    /// lanes are taken by turns: every other one (those of the mask even), then those between.
    function checkLanes(
        uint256 word,
        uint256 bits,
        uint256 even,
        uint256 lackEven,
        uint256 lackOdd,
        uint256 from
    ) private pure {
        unchecked {
            uint256 carries = ((word & even) + lackEven) & ~even;
            carries |= ((((word >> bits) & even) + lackOdd) & ~even) << bits;
            if (carries == 0) return;
            uint256 end = (248 / bits) * bits;
            for (; carries >> end == 0; end -= bits) from += bits / 8;
            revert InputOutOfRange(from);
        }
    }`;
