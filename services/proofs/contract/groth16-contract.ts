// The Solidity contract that verifies Groth16 proofs of one verifying key. Written from the
// specification of the precompiled contracts: addition and multiplication on BN254 (EIP-196,
// addresses 6 and 7) and the check of a product of pairings (EIP-197, address 8).
//
// The equation is e(A, B) e(-alpha, beta) e(L, -gamma) e(C, -delta) = 1, with the negations made
// here, so that the contract negates nothing.

import { FIELD_ORDER } from "../field.ts";
import { BASE_ORDER, g1Words, g2Words } from "../verifier/curve-points.ts";
import type { VerifyingKey } from "../verifier/verifying-key.ts";
import { publicValueCount, verifyingKeyHash } from "../verifier/verifying-key.ts";

/** The contract Groth16Verifier, without licence and pragma. */
export function groth16Contract(
  key: VerifyingKey,
  setup: { readonly isDevelopment: boolean },
): string {
  const count = publicValueCount(key);
  return `/// Verifies Groth16 proofs of one circuit, on BN254. It holds nothing and belongs to nobody.
///
/// A proof is no identity: from one that verifies anybody makes others for the same public values.
/// Never use proof bytes, or their hash, as a nonce; what cannot be changed is the public values.
contract Groth16Verifier {
    /// Whether the keys are of a development set-up: then whoever ran it can forge proofs.
    bool public constant DEV_SETUP = ${setup.isDevelopment};

    /// SHA-256 of the canonical bytes of the verifying key.
    bytes32 public constant VERIFYING_KEY_HASH =
        0x${verifyingKeyHash(key)};

    /// Number of public values.
    uint256 public constant PUBLIC_VALUES = ${count};

    /// Order of the groups: every public value is below it.
    uint256 internal constant GROUP_ORDER =
        ${FIELD_ORDER};

    /// Whether the proof (a, b, c) proves the public values. Of each coordinate of b the imaginary
    /// part comes first, as the precompiled contracts have it. False for whatever is out of range,
    /// not on the curve or the zero point; reverts only where it runs out of gas or is not called
    /// with arguments of these lengths.
    function verifyProof(
        uint256[2] calldata a,
        uint256[2][2] calldata b,
        uint256[2] calldata c,
        uint256[${count}] calldata publicValues
    ) external view returns (bool) {
        uint256[8] memory proof =
            [a[0], a[1], b[0][0], b[0][1], b[1][0], b[1][1], c[0], c[1]];
        return verifyWords(proof, publicValues);
    }

    /// The same with the eight numbers of the proof in order.
    function verifyWords(uint256[8] memory proof, uint256[${count}] memory publicValues)
        internal
        view
        returns (bool valid)
    {
        assembly ("memory-safe") {
            // Adds value times (x, y) to the point at sum; words 2 to 4 there are overwritten.
            function weigh(sum, x, y, value) -> fits {
                mstore(add(sum, 0x40), x)
                mstore(add(sum, 0x60), y)
                mstore(add(sum, 0x80), value)
                // A value and the value plus the order are the same to the precompiled contract.
                fits := lt(value, ${FIELD_ORDER})
                fits := and(fits, staticcall(gas(), 7, add(sum, 0x40), 0x60, add(sum, 0x40), 0x40))
                fits := and(fits, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
            }

            function copyPoint(from, to) -> isNotZero {
                let x := mload(from)
                let y := mload(add(from, 0x20))
                mstore(to, x)
                mstore(add(to, 0x20), y)
                isNotZero := gt(or(x, y), 0)
            }

            // Four pairs of six words each, in free memory; none of it is needed afterwards.
            let pairs := mload(0x40)
            let sum := add(pairs, 0x180)

            // The first public point plus the others, each times its public value. The scratch
            // words behind it are those of the pairs that are written later.
${storeWords("sum", 0, g1Words(key.publicPoints[0]!))}
            valid := 1
${weighLines(key)}

            // A and B
            valid := and(valid, copyPoint(proof, pairs))
            let isNotZero := copyPoint(add(proof, 0x40), add(pairs, 0x40))
            isNotZero := or(isNotZero, copyPoint(add(proof, 0x80), add(pairs, 0x80)))
            valid := and(valid, isNotZero)

            // -alpha and beta
${storeWords("pairs", 0xc0, [...g1Words(key.alpha.negate()), ...g2Words(key.beta)])}

            // The sum, which is in its place, and -gamma
${storeWords("pairs", 0x1c0, g2Words(key.gamma.negate()))}

            // C and -delta
            valid := and(valid, copyPoint(add(proof, 0xc0), add(pairs, 0x240)))
${storeWords("pairs", 0x280, g2Words(key.delta.negate()))}

            // Refuses points that are not on the curve or not of the right order, and coordinates
            // of ${hex(BASE_ORDER).slice(0, 10)}... (the order of their field) or more.
            if valid {
                valid := staticcall(gas(), 8, pairs, 0x300, pairs, 0x20)
                valid := and(valid, eq(mload(pairs), 1))
            }
        }
    }
}
`;
}

function weighLines(key: VerifyingKey): string {
  return key.publicPoints
    .slice(1)
    .map((point, i) => {
      const [x, y] = g1Words(point);
      const value = `mload(add(publicValues, ${hex(BigInt(32 * i), 1)}))`;
      return `            valid := and(
                valid,
                weigh(
                    sum,
                    ${hex(x)},
                    ${hex(y)},
                    ${value}
                )
            )`;
    })
    .join("\n");
}

function storeWords(base: string, offset: number, words: readonly bigint[]): string {
  return words
    .map((word, i) => {
      const at = offset + 32 * i;
      const place = at === 0 ? base : `add(${base}, ${hex(BigInt(at), 1)})`;
      return `            mstore(${place}, ${hex(word)})`;
    })
    .join("\n");
}

function hex(value: bigint, bytes = 32): string {
  return `0x${value.toString(16).padStart(2 * bytes, "0")}`;
}
