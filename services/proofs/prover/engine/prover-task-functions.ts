// Which function does which task of the prover's process.

import type { TaskFunctions } from "../../process/serve-tasks.ts";
import { verifyingKeyHash, verifyingKeyJson } from "../../verifier/verifying-key.ts";
import type { ProverTasks } from "../prover-tasks.ts";
import { readZkey, zkeyProtocol } from "../zkey-file.ts";
import {
  acceptContribution,
  applyBeacon,
  contribute,
  newKey,
  verifyCeremonyKey,
  verifyPtau,
} from "./ceremony.ts";
import { devSetup } from "./dev-setup.ts";
import { checkProofFiles, proveGroth16, verifiedProof } from "./groth16-proof.ts";
import { loadKey } from "./loaded-circuit.ts";
import { recordOfKey } from "./make-record.ts";
import { plonkSetup, plonkVerifyingKey, provePlonk, verifyPlonkKey } from "./plonk.ts";

/** See ProverTasks. */
export const PROVER_TASKS: TaskFunctions<ProverTasks> = {
  "dev-setup": async ({ r1cs, out }, progress) => {
    await devSetup({ r1cs, zkey: out }, progress);
    return await recordOfKey(out, { setup: "dev-single-party", r1cs });
  },
  "verify-ptau": verifyPtau,
  "new-key": newKey,
  contribute,
  "accept-contribution": acceptContribution,
  beacon: applyBeacon,
  "verify-key": async (input, progress) =>
    (await zkeyProtocol(input.zkey)) === "plonk"
      ? await verifyPlonkKey(input, progress)
      : await verifyCeremonyKey(input, progress),
  "describe-key": async ({ zkey }) => {
    if ((await zkeyProtocol(zkey)) === "plonk") {
      return { verifyingKey: await plonkVerifyingKey(zkey), contributions: [] };
    }
    const { verifyingKey, contributions } = await readZkey(zkey);
    return {
      verifyingKey: verifyingKeyJson(verifyingKey),
      verifyingKeyHash: verifyingKeyHash(verifyingKey),
      contributions,
    };
  },
  prove: proveGroth16,
  "check-witness": async (input) => {
    const { publicValues } = await checkProofFiles(input);
    return { publicValues };
  },
  "verify-proof": async ({ zkey, proof, publicValues }) => {
    const key = await loadKey(zkey);
    return {
      proof: verifiedProof(key, proof, publicValues),
      verifyingKeyHash: key.prepared.hash,
    };
  },
  "plonk-setup": plonkSetup,
  "plonk-prove": provePlonk,
};
