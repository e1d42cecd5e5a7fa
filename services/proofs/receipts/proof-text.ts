// A receipt with all that it takes to check it, as one text that can be stored and sent: C2SP
// tlog-proof, with the receipt's bytes as its extra data.
//
//   c2sp.org/tlog-proof@v1
//   extra <receipt>
//   index 73894
//   <hash of the inclusion proof, from the leaf's sibling upwards>
//   ...
//   (empty line)
//   <checkpoint>

import { CHECKPOINT_CHARS_MAX, fromBase64, parseCount, toBase64 } from "./checkpoint.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { RECEIPT_BYTES_MAX } from "./receipt.ts";

const HEADER = "c2sp.org/tlog-proof@v1";

/** A tree of 2^53 leaves is no deeper. */
const PATH_LENGTH_MAX = 53;

const TEXT_CHARS_MAX = CHECKPOINT_CHARS_MAX + 2 * RECEIPT_BYTES_MAX + 64 * PATH_LENGTH_MAX;

/** What shows that a receipt is in a log. */
export interface ReceiptEvidence {
  /** The receipt's bytes. */
  readonly receipt: Uint8Array;
  /** Its place in the log, from 0. */
  readonly index: number;
  /** The inclusion proof in the checkpoint's tree. */
  readonly path: readonly Uint8Array[];
  /** The signed tree head, as text. */
  readonly checkpoint: string;
}

/** Why a text is no evidence. */
export class MalformedProof extends Error {
  override readonly name = "MalformedProof";
}

/** The text of a proof; its files are called `*.tlog-proof`. */
export function proofText({ receipt, index, path, checkpoint }: ReceiptEvidence): string {
  const hashes = path.map((hash) => `${toBase64(hash)}\n`).join("");
  return `${HEADER}\nextra ${toBase64(receipt)}\nindex ${index}\n${hashes}\n${checkpoint}`;
}

/** The evidence in a text; nothing of it is checked yet. @throws MalformedProof */
export function parseProofText(text: string): ReceiptEvidence {
  if (text.length > TEXT_CHARS_MAX) {
    throw new MalformedProof(`A proof has at most ${TEXT_CHARS_MAX} characters`);
  }
  const end = text.indexOf("\n\n");
  const [header, extra = "", place = "", ...hashes] = text.slice(0, Math.max(end, 0)).split("\n");
  if (header !== HEADER) {
    throw new MalformedProof(`A proof begins with the line ${HEADER}`);
  }
  const receipt = extra.startsWith("extra ") ? fromBase64(extra.slice(6)) : undefined;
  if (receipt === undefined) {
    throw new MalformedProof('The second line is "extra" and the receipt in Base64');
  }
  const index = place.startsWith("index ") ? parseCount(place.slice(6)) : undefined;
  if (index === undefined) {
    throw new MalformedProof('The third line is "index" and the place in the log');
  }
  const path = hashes.map((hash) => fromBase64(hash));
  if (path.length > PATH_LENGTH_MAX || !path.every((hash) => hash?.length === HASH_BYTES)) {
    throw new MalformedProof("A line of the inclusion proof is no hash of 32 bytes in Base64");
  }
  return { receipt, index, path: path as Uint8Array[], checkpoint: text.slice(end + 2) };
}
