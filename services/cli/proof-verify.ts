// `plinth proof verify`: whether a proof holds, told to people and programs. Works offline.

import { readFile, stat } from "node:fs/promises";
import { ProvedStatementSchema } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { PROOF_FILE_BYTES_MAX } from "../proofs/proving/proof-file.ts";
import { numberOfBytes } from "../proofs/proving/statement-message.ts";
import { DEVELOPMENT_PROOF_WARNING } from "./circuits-words.ts";
import type { Desk } from "./command.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { messageJson, type Output } from "./output.ts";
import { formatBytes } from "./progress.ts";
import { checkProof, type ProofVerdict } from "./proof-check.ts";
import { statementFacts } from "./proof-lines.ts";
import { givenRow } from "./proof-row.ts";
import { factLines, printable } from "./table.ts";

interface VerifyOptions {
  readonly key: string;
  readonly id?: string;
  readonly vkHash?: string;
  readonly schemaHash?: string;
  readonly modelCommitment?: string;
  readonly context?: Uint8Array;
  readonly salt?: string;
  readonly row?: string;
}

/** The key of a circuit with the most public values that are possible has less. */
const KEY_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** `plinth proof verify` */
export async function verifyProof(
  { output }: Desk,
  [path]: readonly [string],
  options: VerifyOptions,
): Promise<ExitCode> {
  const { context, row, salt } = options;
  const id = hashOption(options.id, "--id");
  const vkHash = hashOption(options.vkHash, "--vk-hash");
  const schemaHash = hashOption(options.schemaHash, "--schema-hash");
  const modelCommitment = hashOption(options.modelCommitment, "--model-commitment");
  const given = givenRow(row, salt);
  const files = await readFiles(path, options.key);
  const verdict = checkProof(files, {
    ...(id === undefined ? {} : { id }),
    ...(vkHash === undefined ? {} : { vkHash }),
    ...(schemaHash === undefined ? {} : { schemaHash }),
    ...(modelCommitment === undefined ? {} : { modelCommitment }),
    ...(context === undefined ? {} : { context: numberOfBytes(context) }),
    ...(given === undefined ? {} : { row: given }),
  });
  await (output.json ? printJson(output, verdict) : printText(output, verdict, options));
  return verdict.valid ? ExitCode.ok : ExitCode.failed;
}

/** The two files. @throws the file system's error; CommandError where one is too long. */
export async function readFiles(
  proof: string,
  key: string,
): Promise<{ readonly proof: Uint8Array; readonly key: string }> {
  return {
    proof: await readBounded(proof, PROOF_FILE_BYTES_MAX),
    key: (await readBounded(key, KEY_FILE_BYTES_MAX)).toString("utf8"),
  };
}

/** A whole file that has at most so many bytes. */
export async function readBounded(path: string, bytesMax: number): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > bytesMax) {
    throw new CommandError(
      `"${path}" has ${formatBytes(size)}; what is expected there has at most ${formatBytes(bytesMax)}.`,
      { exitCode: ExitCode.invalidInput },
    );
  }
  return readFile(path);
}

function hashOption(text: string | undefined, option: string): string | undefined {
  const hash = text?.toLowerCase();
  if (hash !== undefined && !/^[0-9a-f]{64}$/.test(hash)) {
    throw new UsageError(`${option} must be 64 hexadecimal digits; got "${text}".`);
  }
  return hash;
}

async function printJson(output: Output, verdict: ProofVerdict): Promise<void> {
  if (!verdict.valid) {
    output.value({ valid: false, reason: verdict.reason, message: verdict.message });
    return;
  }
  const { id, proof, key, statement } = verdict;
  output.value({
    valid: true,
    id,
    statement: await messageJson(ProvedStatementSchema, statement),
    verifyingKeyHash: key.verifyingKeyHash,
    modelCommitment: key.modelCommitment,
    schemaHash: key.schemaHash,
    circuitHash: key.circuitHash,
    setup: key.setup,
    development: key.development || proof.development,
    said: {
      circuit: proof.circuit,
      modelVersion: proof.modelVersion,
      inferenceId: proof.inferenceId,
      row: proof.row,
      createTime: proof.createTime ?? null,
    },
  });
}

async function printText(
  output: Output,
  verdict: ProofVerdict,
  options: VerifyOptions,
): Promise<void> {
  if (!verdict.valid) {
    output.line(
      `${output.tone("bad", "INVALID")}  ${printable(verdict.message)} [${verdict.reason}]`,
    );
    return;
  }
  const { id, proof, key } = verdict;
  output.line(`${output.tone("good", "VALID")}  the proof holds under this verifying key`);
  output.line("");
  output.lines(provedLines(verdict, options));
  output.line("");
  output.lines([
    "What the file says beside that; it is not proved:",
    ...factLines([
      ["  proof", id],
      ["  model version", proof.modelVersion],
      ["  circuit", proof.circuit],
      ["  inference", proof.inferenceId],
      ["  row", String(proof.row + 1)],
      ["  made", proof.createTime],
    ]),
  ]);
  if (key.development || proof.development) {
    output.warning(DEVELOPMENT_PROOF_WARNING);
  }
  const unpinned = [
    ...(options.vkHash === undefined ? ["--vk-hash"] : []),
    ...(options.schemaHash === undefined ? ["--schema-hash"] : []),
  ];
  if (unpinned.length > 0) {
    output.note(
      "Whoever chose the key file chose what a proof under it means: the verifying key is of one model, and " +
        "the schema says what its numbers stand for. Compare the hashes that are not pinned with what the " +
        `model's owner publishes, or give those with ${unpinned.join(" and ")}.`,
    );
  }
}

const SETUP_TEXTS = {
  "dev-single-party": "DEVELOPMENT SET-UP, by one party alone",
  ceremony: "ceremony",
  universal: "universal",
} as const;

function provedLines(
  { key, statement }: Extract<ProofVerdict, { valid: true }>,
  { vkHash, schemaHash, modelCommitment, context, row }: VerifyOptions,
): readonly string[] {
  const expected = (isGiven: boolean): string => (isGiven ? "  (as expected)" : "");
  const pinned = (hash: string | undefined): string =>
    hash === undefined ? "  (not pinned)" : expected(true);
  const facts = statementFacts(statement).map(([name, text]) => {
    const isGiven =
      (name === "context" && context !== undefined) ||
      (/^inputs?$/.test(name) && row !== undefined);
    return [name, text === undefined ? text : text + expected(isGiven)] as const;
  });
  return factLines([
    ...facts,
    ["verifying key", key.verifyingKeyHash + pinned(vkHash)],
    ["schema", key.schemaHash + pinned(schemaHash)],
    ["model commitment", key.modelCommitment + expected(modelCommitment !== undefined)],
    ["constraints hash", key.circuitHash],
    ["key made by", SETUP_TEXTS[key.setup]],
  ]);
}
