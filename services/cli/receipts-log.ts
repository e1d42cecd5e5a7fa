// `plinth receipts head|consistency`: the log itself: its signed head, its keys, and that it only
// grew.

import { type TreeHead, TreeHeadSchema } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import {
  checkCheckpoint,
  checkConsistency,
  type LogTrust,
  parseVerifierKey,
  type RefusedVerdict,
} from "../proofs/receipts/check-receipt.ts";
import { CHECKPOINT_CHARS_MAX, type Checkpoint, toBase64 } from "../proofs/receipts/checkpoint.ts";
import { ExitCode } from "./exit-codes.ts";
import { counted, formatCount } from "./progress.ts";
import { writeWhole } from "./proof-file.ts";
import { readBounded } from "./proof-verify.ts";
import { microsecondsText } from "./receipts-time.ts";
import { trustOf } from "./receipts-trust.ts";
import type { Session } from "./session.ts";
import { factLines, printable } from "./table.ts";

interface HeadOptions {
  readonly out?: string;
  readonly keys?: string;
}

interface ConsistencyOptions {
  readonly old: string;
  readonly key: readonly string[];
  readonly out?: string;
}

/** `plinth receipts head` */
export async function showHead(
  session: Session,
  _args: readonly [],
  { out, keys }: HeadOptions,
): Promise<ExitCode> {
  const { output, parent } = session;
  const head = await session.receipts.getTreeHead({ parent }, session.call);
  const verdict = head.size === 0n ? undefined : checkCheckpoint(head.checkpoint, ownTrust(head));
  if (verdict?.valid === false) {
    output.warning(`The head is not signed by the keys that the server names: ${verdict.message}`);
    return ExitCode.failed;
  }
  if (keys !== undefined) {
    await writeWhole(
      keys,
      `# Keys of the receipt log ${head.origin}\n${head.verifierKeys.join("\n")}\n`,
    );
  }
  if (out !== undefined && verdict !== undefined) {
    await writeWhole(out, head.checkpoint);
  }
  if (output.json) {
    await output.message(TreeHeadSchema, head);
    return ExitCode.ok;
  }
  output.lines(headLines(head, verdict?.checkpoint));
  if (keys === undefined) {
    output.note("Pin the keys with --keys <file>: they are what receipts are verified with.");
  }
  if (out !== undefined && verdict === undefined) {
    output.note("There is no head to keep yet; nothing was written.");
  }
  return ExitCode.ok;
}

/** `plinth receipts consistency` */
export async function checkGrowth(
  session: Session,
  _args: readonly [],
  { old, key, out }: ConsistencyOptions,
): Promise<ExitCode> {
  const { output } = session;
  const trust = await trustOf(key);
  const older = (await readBounded(old, CHECKPOINT_CHARS_MAX)).toString("utf8");
  const verdict = await growth(session, older, trust);
  if (!verdict.valid) {
    const { reason, message } = verdict;
    if (output.json) {
      output.value({ consistent: false, reason, message });
    } else {
      output.line(`${output.tone("bad", "NOT CONSISTENT")}  ${printable(message)} [${reason}]`);
    }
    return ExitCode.failed;
  }
  const { oldSize, text, checkpoint } = verdict;
  if (out !== undefined) {
    await writeWhole(out, text);
  }
  const { origin, size, root, timeUs } = checkpoint;
  if (output.json) {
    const time = microsecondsText(timeUs);
    output.value({ consistent: true, origin, oldSize, size, root: toBase64(root), time });
    return ExitCode.ok;
  }
  const sizes =
    size === oldSize
      ? `still has the same ${counted(size, "receipt")}`
      : `only grew, from ${formatCount(oldSize)} to ${counted(size, "receipt")}`;
  output.line(`${output.tone("good", "CONSISTENT")}  ${origin} ${sizes}`);
  return ExitCode.ok;
}

type Growth =
  | {
      readonly valid: true;
      readonly oldSize: number;
      /** The newer head. */
      readonly text: string;
      readonly checkpoint: Checkpoint;
    }
  | RefusedVerdict;

/** Whether the log of now begins with what it was at the older head. */
async function growth(session: Session, older: string, trust: LogTrust): Promise<Growth> {
  const before = checkCheckpoint(older, trust);
  if (!before.valid) {
    return before;
  }
  const { size: oldSize } = before.checkpoint;
  const { parent } = session;
  const { size } = await session.receipts.getTreeHead({ parent }, session.call);
  if (size < oldSize) {
    const message =
      `The log has ${counted(Number(size), "receipt")} now; the older head has ` +
      `${formatCount(oldSize)}: receipts are gone. Keep that head, it convicts the log.`;
    return { valid: false, reason: "INCONSISTENT", message };
  }
  const request = { parent, oldSize: BigInt(oldSize) };
  const proof = await session.receipts.getConsistencyProof(request, session.call);
  const claim = { older, newer: proof.checkpoint, path: proof.path };
  const verdict = checkConsistency(claim, trust);
  return verdict.valid
    ? { valid: true, oldSize, text: proof.checkpoint, checkpoint: verdict.checkpoint }
    : verdict;
}

/** The server's own keys: they show only that it does not contradict itself. */
function ownTrust({ origin, verifierKeys }: TreeHead): LogTrust {
  const publicKeys = verifierKeys.flatMap((key) => parseVerifierKey(key)?.publicKey ?? []);
  return { origin, publicKeys };
}

function headLines(
  { origin, verifierKeys }: TreeHead,
  checkpoint: Checkpoint | undefined,
): readonly string[] {
  return factLines([
    ["log", origin],
    ["receipts", checkpoint === undefined ? "none yet" : formatCount(checkpoint.size)],
    ["root", checkpoint && toBase64(checkpoint.root)],
    ["signed", checkpoint && microsecondsText(checkpoint.timeUs)],
    ...verifierKeys.map((key, i) => [i === 0 ? "key" : "retired key", key] as const),
  ]);
}
