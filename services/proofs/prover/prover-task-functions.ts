// Which function does which task of the prover's process.

import type { TaskFunctions } from "../process/serve-tasks.ts";
import { verifyingKeyHash, verifyingKeyJson } from "../verifier/verifying-key.ts";
import type { ProveThreads } from "./groth16/prove-threads.ts";
import { checkProofFiles, proveGroth16, verifiedProof } from "./groth16-proof.ts";
import { ceremonyEngine, devSetupEngine, plonkEngine } from "./lazy-engine.ts";
import { loadKey } from "./loaded-circuit.ts";
import { recordOfKey } from "./make-record.ts";
import type { ProverTasks } from "./prover-tasks.ts";
import { readZkey, zkeyProtocol } from "./zkey-file.ts";

/** See ProverTasks. */
export function proverTasks(threads: ProveThreads): TaskFunctions<ProverTasks> {
  return {
    "dev-setup": async ({ r1cs, out }, progress) => {
      await (await devSetupEngine()).devSetup({ r1cs, zkey: out }, progress);
      return await recordOfKey(out, { setup: "dev-single-party", r1cs });
    },
    "verify-ptau": async (...task) => await (await ceremonyEngine()).verifyPtau(...task),
    "new-key": async (...task) => await (await ceremonyEngine()).newKey(...task),
    contribute: async (...task) => await (await ceremonyEngine()).contribute(...task),
    "accept-contribution": async (...task) =>
      await (await ceremonyEngine()).acceptContribution(...task),
    beacon: async (...task) => await (await ceremonyEngine()).applyBeacon(...task),
    "verify-key": async (input, progress) =>
      (await zkeyProtocol(input.zkey)) === "plonk"
        ? await (await plonkEngine()).verifyPlonkKey(input, progress)
        : await (await ceremonyEngine()).verifyCeremonyKey(input, progress),
    "describe-key": async ({ zkey }) => {
      if ((await zkeyProtocol(zkey)) === "plonk") {
        const { plonkVerifyingKey } = await plonkEngine();
        return { verifyingKey: await plonkVerifyingKey(zkey), contributions: [] };
      }
      const { verifyingKey, contributions } = await readZkey(zkey);
      return {
        verifyingKey: verifyingKeyJson(verifyingKey),
        verifyingKeyHash: verifyingKeyHash(verifyingKey),
        contributions,
      };
    },
    prove: (input, progress) => proveGroth16(threads, input, progress),
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
    "plonk-setup": async (...task) => await (await plonkEngine()).plonkSetup(...task),
    "plonk-prove": async (...task) => await (await plonkEngine()).provePlonk(...task),
  };
}
