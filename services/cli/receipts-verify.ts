// `plinth receipts verify`: whether the log has stated a receipt, and whether it is about what is
// expected. Works offline.

import { readFile } from "node:fs/promises";
import {
  checkReceipt,
  type Expectations,
  type LogTrust,
  type ReceiptVerdict,
} from "../proofs/receipts/check-receipt.ts";
import { toBase64 } from "../proofs/receipts/checkpoint.ts";
import { MalformedProof, parseProofText } from "../proofs/receipts/proof-text.ts";
import type { Receipt } from "../proofs/receipts/receipt.ts";
import type { Desk } from "./command.ts";
import { ExitCode } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import { counted, formatCount } from "./progress.ts";
import { readBounded } from "./proof-verify.ts";
import { readTensors } from "./receipts-tensors.ts";
import { microsecondsText } from "./receipts-time.ts";
import { trustOf } from "./receipts-trust.ts";
import { factLines, printable } from "./table.ts";

interface VerifyOptions {
  readonly key: readonly string[];
  readonly inferenceId?: string;
  readonly deployment?: string;
  readonly modelVersion?: string;
  readonly context?: Uint8Array;
  readonly model?: string;
  readonly request?: string;
  readonly response?: string;
}

/** More than the longest evidence that is possible. */
const EVIDENCE_BYTES_MAX = 1024 * 1024;

/** `plinth receipts verify` */
export async function verifyReceipt(
  { output }: Desk,
  [path]: readonly [string],
  options: VerifyOptions,
): Promise<ExitCode> {
  const trust = await trustOf(options.key);
  const text = (await readBounded(path, EVIDENCE_BYTES_MAX)).toString("utf8");
  const verdict = verdictOn(text, trust, await expectationsOf(options, trust));
  if (output.json) {
    printJson(output, verdict);
  } else {
    printText(output, verdict, options);
  }
  return verdict.valid ? ExitCode.ok : ExitCode.failed;
}

/** The verdict on a text; one that is no evidence is refused like any other. */
function verdictOn(text: string, trust: LogTrust, expected: Expectations): ReceiptVerdict {
  try {
    return checkReceipt(parseProofText(text), trust, expected);
  } catch (error) {
    if (!(error instanceof MalformedProof)) {
      throw error;
    }
    return { valid: false, reason: "MALFORMED_RECEIPT", message: `${error.message}.` };
  }
}

async function expectationsOf(options: VerifyOptions, { origin }: LogTrust): Promise<Expectations> {
  const { inferenceId, context, model, request, response } = options;
  const deployment = fullName(options.deployment, origin, (id) => `deployments/${id}`);
  const modelVersion = fullName(options.modelVersion, origin, (version) => {
    const [id, number] = version.split("/");
    return `models/${id}/versions/${number}`;
  });
  return {
    ...(inferenceId === undefined ? {} : { inferenceId }),
    ...(deployment === undefined ? {} : { deployment }),
    ...(modelVersion === undefined ? {} : { modelVersion }),
    ...(context === undefined ? {} : { context }),
    ...(model === undefined ? {} : { modelFile: await readFile(model) }),
    ...(request === undefined ? {} : { inputs: await readTensors(request, "inputs") }),
    ...(response === undefined ? {} : { outputs: await readTensors(response, "outputs") }),
  };
}

/** A full name, in the workspace that the log is of. */
function fullName(
  text: string | undefined,
  origin: string,
  format: (text: string) => string,
): string | undefined {
  if (text === undefined || text.startsWith("workspaces/")) {
    return text;
  }
  const workspace = /workspaces\/[^/]+$/.exec(origin)?.[0] ?? "";
  return `${workspace}/${format(text)}`;
}

function printJson(output: Output, verdict: ReceiptVerdict): void {
  if (!verdict.valid) {
    output.value({ valid: false, reason: verdict.reason, message: verdict.message });
    return;
  }
  const { receipt, checkpoint } = verdict;
  output.value({
    valid: true,
    inferenceId: receipt.inferenceId,
    deployment: receipt.deployment,
    modelVersion: receipt.modelVersion,
    modelDigest: hex(receipt.modelDigest),
    time: microsecondsText(receipt.timeUs),
    rows: receipt.rows,
    context: hex(receipt.context),
    inputDigest: hex(receipt.inputDigest),
    outputDigest: hex(receipt.outputDigest),
    keyId: receipt.keyId,
    ...(checkpoint === undefined
      ? {}
      : {
          log: {
            origin: checkpoint.origin,
            size: checkpoint.size,
            root: toBase64(checkpoint.root),
            time: microsecondsText(checkpoint.timeUs),
          },
        }),
  });
}

function printText(output: Output, verdict: ReceiptVerdict, options: VerifyOptions): void {
  if (!verdict.valid) {
    output.line(
      `${output.tone("bad", "INVALID")}  ${printable(verdict.message)} [${verdict.reason}]`,
    );
    return;
  }
  const { receipt, checkpoint } = verdict;
  output.line(`${output.tone("good", "VALID")}  the log has stated this inference, for good`);
  output.line("");
  output.lines(receiptLines(receipt, options));
  if (checkpoint !== undefined) {
    output.line("");
    output.lines(
      factLines([
        ["log", checkpoint.origin],
        ["head", `${counted(checkpoint.size, "receipt")}, root ${toBase64(checkpoint.root)}`],
        ["signed", microsecondsText(checkpoint.timeUs)],
      ]),
    );
  }
  output.note(
    "It shows what the server stated, and that it cannot take it back. That the model gives these outputs " +
      "is what a proof shows: plinth prove.",
  );
}

function receiptLines(receipt: Receipt, options: VerifyOptions): readonly string[] {
  const compared = (given: unknown, text = "as expected"): string =>
    given === undefined ? "" : `  (${text})`;
  return factLines([
    ["inference", receipt.inferenceId + compared(options.inferenceId)],
    ["deployment", receipt.deployment + compared(options.deployment)],
    ["model version", receipt.modelVersion + compared(options.modelVersion)],
    ["model file", hex(receipt.modelDigest) + compared(options.model, `is ${options.model}`)],
    ["time", microsecondsText(receipt.timeUs)],
    ["rows", formatCount(receipt.rows)],
    ["context", hex(receipt.context) + compared(options.context)],
    ["inputs", hex(receipt.inputDigest) + compared(options.request, `those of ${options.request}`)],
    [
      "outputs",
      hex(receipt.outputDigest) + compared(options.response, `those of ${options.response}`),
    ],
    ["signing key", receipt.keyId],
  ]);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
