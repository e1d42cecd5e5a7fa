// `plinth proof calldata`: the call that shows a proof to the circuit's contract, as bytes or as the
// arguments of a `cast` command.

import { CommandError, ExitCode } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import { checkProof } from "./proof-check.ts";
import { resolveProof } from "./proof-names.ts";
import { readFiles } from "./proof-verify.ts";
import type { Session } from "./session.ts";

interface CalldataOptions {
  readonly key?: string;
  readonly cast?: boolean;
}

const WORD_BYTES = 32;
const SELECTOR_BYTES = 4;
const SIGNATURE = "verifyInference(bytes,int256[],uint256,bytes)";

/** `plinth proof calldata` */
export async function proofCalldata(
  session: Session,
  [text]: readonly [string],
  { key, cast = false }: CalldataOptions,
): Promise<void> {
  const calldata = key === undefined ? await ofServer(session, text) : await ofFiles(text, key);
  print(session.output, calldata, cast);
}

async function ofServer(session: Session, text: string): Promise<Uint8Array> {
  const name = await resolveProof(session, text);
  const { calldata } = await session.proofs.exportProof({ name }, session.call);
  if (calldata.length === 0) {
    throw new CommandError(
      "There is no contract for this proof: it is PLONK, or has too many public values.",
      {
        exitCode: ExitCode.conflict,
        advice: ["A circuit with --output-mode argmax or packed, or committed inputs, has fewer."],
      },
    );
  }
  return calldata;
}

/** A proof that does not hold makes no call: the contract would revert. */
async function ofFiles(path: string, keyPath: string): Promise<Uint8Array> {
  const [{ inferenceCalldata }, { inferenceCallOf }, { readProof }] = await Promise.all([
    import("../proofs/contract/contract-abi.ts"),
    import("../proofs/contract/inference-call.ts"),
    import("../proofs/verifier/proof-format.ts"),
  ]);
  const verdict = checkProof(await readFiles(path, keyPath));
  if (!verdict.valid) {
    throw new CommandError(`The proof is not valid: ${verdict.message}.`, {
      exitCode: ExitCode.failed,
    });
  }
  const { proof, key } = verdict;
  const call = inferenceCallOf(key.schema, proof.publicValues.map(BigInt), readProof(proof.proof));
  return inferenceCalldata("verifyInference", call);
}

function print(output: Output, calldata: Uint8Array, cast: boolean): void {
  const { input, values, context, proof } = callArguments(calldata);
  if (output.json) {
    const call = { input, output: [...values], context, proof };
    output.value({ function: SIGNATURE, calldata: hex(calldata), ...call });
  } else if (cast) {
    output.line(`"${SIGNATURE}" ${input} "[${values.join(",")}]" ${context} ${proof}`);
  } else {
    output.line(hex(calldata));
  }
}

/** What verifyInference is called with: numbers in decimal, bytes in hexadecimal. */
export interface CallArguments {
  readonly input: string;
  readonly values: readonly string[];
  readonly context: string;
  readonly proof: string;
}

/** The arguments of a call, from its bytes. */
function callArguments(calldata: Uint8Array): CallArguments {
  const body = Buffer.from(calldata.subarray(SELECTOR_BYTES));
  const word = (at: number): bigint => BigInt(hex(body.subarray(at, at + WORD_BYTES)));
  const offset = (argument: number): number => Number(word(argument * WORD_BYTES));
  const bytes = (at: number): string =>
    hex(body.subarray(at + WORD_BYTES, at + WORD_BYTES + Number(word(at))));
  const list = offset(1);
  const values = Array.from({ length: Number(word(list)) }, (_, i) =>
    String(BigInt.asIntN(256, word(list + (i + 1) * WORD_BYTES))),
  );
  const context = String(word(2 * WORD_BYTES));
  return { input: bytes(offset(0)), values, context, proof: bytes(offset(3)) };
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}
