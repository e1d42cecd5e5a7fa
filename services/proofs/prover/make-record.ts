// The record of a key that was just made or verified.

import { stat } from "node:fs/promises";
import { verifyingKeyHash, verifyingKeyJson } from "../verifier/verifying-key.ts";
import type { KeyRecord, KeySetup } from "./key-record.ts";
import { fileDigest } from "./section-file.ts";
import { readZkey } from "./zkey-file.ts";

/** Describes a Groth16 key; its file is read again, as everybody else will read it. */
export async function recordOfKey(
  zkey: string,
  from: { readonly setup: KeySetup; readonly r1cs: string; readonly ptau?: string },
): Promise<KeyRecord> {
  const info = await readZkey(zkey);
  return {
    version: 1,
    protocol: "groth16",
    setup: from.setup,
    circuitHash: await fileDigest(from.r1cs),
    zkeyHash: await fileDigest(zkey),
    zkeyBytes: (await stat(zkey)).size,
    ...(from.ptau === undefined ? {} : { ptauHash: await fileDigest(from.ptau) }),
    verifyingKeyHash: verifyingKeyHash(info.verifyingKey),
    verifyingKey: verifyingKeyJson(info.verifyingKey),
    contributions: info.contributions,
  };
}
