// The rows of the bench for proofs: circuits made, keys set up, inferences proved and verified, by
// the same processes that the service uses.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inferenceCalldata } from "../../services/proofs/contract/contract-abi.ts";
import { exportContract } from "../../services/proofs/contract/export-contract.ts";
import { inferenceCallOf } from "../../services/proofs/contract/inference-call.ts";
import { compiled, deployed } from "../../services/proofs/contract/testing/use-contract.ts";
import { openBuiltinProver } from "../../services/proofs/prover/builtin-driver.ts";
import { verifyProof } from "../../services/proofs/verifier/groth16.ts";
import { PROOF_BYTES, readProof } from "../../services/proofs/verifier/proof-format.ts";
import { keyOf } from "../../services/proofs/verifier/verify-inference.ts";
import { readVerifyingKey } from "../../services/proofs/verifier/verifying-key.ts";
import { openWorkshop } from "../../services/proofs/workshop/workshop.ts";
import type { Case } from "./case.ts";
import { atMost, type Figures, median, type Round } from "./figures.ts";
import { seeded } from "./models.ts";
import { peakOf } from "./process.ts";
import {
  BIG,
  BOOSTED,
  DIGITS,
  LOGISTIC,
  MNIST,
  MNIST_ARGMAX,
  type ProvedModel,
} from "./proving-models.ts";

const MEMORY_MAX = 8 * 2 ** 30;
const WARM_UP_PROOFS = 2;
const PROOFS = 15;
/** Of a circuit whose proof takes seconds. */
const FEW_PROOFS = 5;
/** EIP-170. */
const CODE_BYTES_MAX = 24_576;
/** Gas of a verification: the fixed part and that of each public value. */
const GAS = { base: 190_000, value: 6_700 } as const;

/** Every case of proofs, in the order of the report. */
export const PROVING_CASES: readonly Case[] = [
  {
    name: "prove-logistic",
    title: "proof of one inference: logistic regression over 30 columns",
    contenders: [{ name: "plinth", measure: () => measured(LOGISTIC, PROOFS) }],
    checks: [
      atMost(60, "witness and proof", plain("proveMs")),
      atMost(60, "verification by our own verifier", plain("verifyMs")),
    ],
  },
  {
    name: "prove-digits",
    title: "the same: MLP 64-32-10",
    contenders: [{ name: "plinth", measure: () => measured(DIGITS, PROOFS) }],
    checks: [atMost(90, "witness and proof", plain("proveMs"))],
  },
  {
    name: "prove-mnist",
    title: "the same: MLP 784-128-10, weights of 7 bits",
    contenders: [{ name: "plinth", measure: () => measured(MNIST, PROOFS) }],
    checks: [
      atMost(10_500, "constraints", plain("constraints"), ""),
      atMost(0.2, "compiling", seconds("compileMs"), "s"),
      atMost(2.5, "development set-up", seconds("setupMs"), "s"),
      atMost(400, "witness and proof", plain("proveMs")),
      atMost(256, "bytes of the proof", plain("proofBytes"), ""),
    ],
  },
  {
    name: "prove-trees",
    title: "the same: 100 boosted trees of depth 6, 30 columns, decisions exact",
    contenders: [{ name: "plinth", measure: () => measured(BOOSTED, PROOFS) }],
    checks: [
      atMost(11_000, "constraints", plain("constraints"), ""),
      atMost(500, "witness and proof", plain("proveMs")),
    ],
  },
  {
    name: "prove-big",
    title: "the same: MLP 784-2000-60-4000-10, weights of 7 bits",
    contenders: [{ name: "plinth", measure: () => measured(BIG, FEW_PROOFS) }],
    checks: [
      atMost(180_000, "constraints", plain("constraints"), ""),
      atMost(6, "witness and proof", seconds("proveMs"), "s"),
      atMost(1_600, "resident memory of the prover", plain("residentMb"), "MB"),
    ],
  },
  {
    name: "verify-evm",
    title: "MLP 784-128-10 verified in the EVM: inputs packed, the class as output",
    contenders: [{ name: "plinth", measure: onChain }],
    checks: [
      atMost(
        1,
        "gas over 190,000 + 6,700 a public value",
        (round) => {
          const { gas, publicValues } = round.get("plinth") ?? {};
          if (gas === undefined || publicValues === undefined) return undefined;
          return gas / (GAS.base + GAS.value * publicValues);
        },
        "x",
      ),
      atMost(CODE_BYTES_MAX, "bytes of the contract", plain("codeBytes"), ""),
    ],
  },
];

type Name = keyof Figures;

function plain(name: Name): (round: Round) => number | undefined {
  return (round) => round.get("plinth")?.[name] as number | undefined;
}

function seconds(name: Name): (round: Round) => number | undefined {
  return (round) => {
    const ms = plain(name)(round);
    return ms === undefined ? undefined : ms / 1_000;
  };
}

/** Compiles, sets up, proves and verifies; what is repeated is repeated warm. */
async function measured(model: ProvedModel, proofs: number): Promise<Figures> {
  await using lab = await ProvingLab.open(model);
  const made: Awaited<ReturnType<ProvingLab["prove"]>>[] = [];
  for (let i = 0; i < WARM_UP_PROOFS + proofs; i++) {
    made.push(await lab.prove());
  }
  // Whoever verifies is somewhere else: each of the two is measured warm.
  const verifyMs = made.map(({ proof, publicValues }) => {
    const startMs = performance.now();
    if (!verifyProof(lab.key, proof, publicValues)) throw new Error("the proof does not verify");
    return performance.now() - startMs;
  });
  return {
    ...lab.figures,
    proveMs: median(made.slice(WARM_UP_PROOFS).map(({ elapsedMs }) => elapsedMs)),
    verifyMs: median(verifyMs.slice(WARM_UP_PROOFS)),
    proofBytes: PROOF_BYTES,
    residentMb: lab.peakBytes() / 1e6,
  };
}

async function onChain(): Promise<Figures> {
  await using lab = await ProvingLab.open(MNIST_ARGMAX);
  const { proof, publicValues } = await lab.prove();
  const { schema, verifyingKey } = lab;
  const code = compiled(exportContract({ verifyingKey, schema, isDevelopmentSetup: true }));
  const contract = await deployed(code);
  const call = inferenceCallOf(schema, publicValues, proof);
  const answer = await contract.call(inferenceCalldata("checkInference", call));
  if (answer.outcome !== "true") throw new Error(`the contract answered ${answer.outcome}`);
  return {
    gas: answer.gas,
    codeBytes: code.code.length,
    publicValues: publicValues.length,
  };
}

/** A circuit with its key, and the processes that prove with it. */
class ProvingLab implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #parts: Awaited<ReturnType<typeof makeParts>>;

  private constructor(stack: AsyncDisposableStack, parts: Awaited<ReturnType<typeof makeParts>>) {
    this.#stack = stack;
    this.#parts = parts;
  }

  static async open(model: ProvedModel): Promise<ProvingLab> {
    await using stack = new AsyncDisposableStack();
    const parts = await makeParts(model, stack);
    return new ProvingLab(stack.move(), parts);
  }

  get figures(): Figures {
    const { files, setupMs } = this.#parts;
    const { compileMs, report } = files;
    return { constraints: report.constraints, compileMs, setupMs };
  }

  get key() {
    return this.#parts.prepared;
  }

  get verifyingKey() {
    return this.#parts.verifyingKey;
  }

  get schema() {
    return this.#parts.files.schema;
  }

  peakBytes(): number {
    return this.#parts.peak();
  }

  /** A witness and its proof, as the service makes them; without its verification. */
  async prove() {
    const { workshop, prover, source, row, folder, files, zkey } = this.#parts;
    const witness = join(folder, "row.wtns");
    const startMs = performance.now();
    await workshop.witness(source, row, witness);
    const result = await prover.prove({ r1cs: files.constraints, zkey, witness });
    return {
      elapsedMs: performance.now() - startMs - result.timings.verifyMs,
      proof: readProof(result.proof),
      publicValues: result.publicValues.map(BigInt),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function makeParts(model: ProvedModel, stack: AsyncDisposableStack) {
  const folder = await mkdtemp(join(tmpdir(), "plinth-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const workshop = stack.use(
    openWorkshop({ memoryBytesMax: MEMORY_MAX, compileTimeoutMs: 600_000 }),
  );
  const prover = stack.use(openBuiltinProver({ memoryBytesMax: MEMORY_MAX }));
  const onnx = join(folder, "model.onnx");
  await writeFile(onnx, await model.bytes());
  const { outputMode } = model;
  const circuit = outputMode === undefined ? {} : { outputMode };
  const files = await workshop.compile({ onnx, model: await model.options(), circuit, folder });
  const { circuitHash, modelCommitment } = files;
  const zkey = join(folder, "key.zkey");
  const startMs = performance.now();
  const record = await prover.devSetup({ r1cs: files.constraints, zkey });
  const setupMs = performance.now() - startMs;
  const verifyingKey = readVerifyingKey(record.verifyingKey);
  const peak = peakOf(() => [prover.processId].filter((pid) => pid !== undefined));
  stack.defer(() => void peak());
  return {
    folder,
    files,
    workshop,
    prover,
    zkey,
    setupMs,
    verifyingKey,
    prepared: keyOf(record.verifyingKey),
    source: { circuitHash, model: files.model, circuit: { ...circuit, modelCommitment } },
    row: { tensors: [await model.row(seeded(5))] },
    peak,
  };
}
