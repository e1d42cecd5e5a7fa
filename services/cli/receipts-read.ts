// `plinth receipts list|get`: receipts that the server keeps.

import { create } from "@bufbuild/protobuf";
import {
  GetReceiptsResponseSchema,
  ListReceiptsResponseSchema,
  type Receipt,
} from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { exactTime } from "./features-times.ts";
import { shortDigest } from "./format.ts";
import { momentText } from "./monitor-words.ts";
import { formatCount } from "./progress.ts";
import { writeWhole } from "./proof-file.ts";
import { lastPart } from "./proof-names.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

/** `plinth receipts list` */
export async function listReceipts(
  session: Session,
  _args: readonly [],
  { limit }: { readonly limit: number },
): Promise<void> {
  const { output, parent } = session;
  const { items, more } = await listAll({
    limit,
    page: (page) => session.receipts.listReceipts({ parent, ...page }, session.call),
    items: (response) => response.receipts,
  });
  if (output.json) {
    const all = create(ListReceiptsResponseSchema, { receipts: [...items] });
    return output.message(ListReceiptsResponseSchema, all);
  }
  output.table(
    [
      { title: "INDEX", align: "right" },
      { title: "INFERENCE" },
      { title: "DEPLOYMENT" },
      { title: "VERSION" },
      { title: "ROWS", align: "right" },
      { title: "TIME" },
      { title: "OUTPUTS" },
    ],
    items.map((receipt) => [
      String(receipt.index),
      receipt.inferenceId,
      lastPart(receipt.deployment),
      shortName(receipt.modelVersion),
      formatCount(receipt.rows),
      momentText(receipt.time),
      shortDigest(hex(receipt.outputDigest)),
    ]),
    `No receipts in ${parent}. A deployment asks for them with "plinth deployments update <id> --receipts".`,
  );
  noteMore(session, more);
}

/** `plinth receipts get` */
export async function getReceipt(
  session: Session,
  [inferenceId]: readonly [string],
  { out }: { readonly out?: string },
): Promise<void> {
  const { output, parent } = session;
  const response = await session.receipts.getReceipts({ parent, inferenceId }, session.call);
  const [newest, ...others] = response.receipts;
  if (newest === undefined) {
    throw new CommandError(`There is no receipt of inference "${inferenceId}".`, {
      exitCode: ExitCode.notFound,
      advice: [
        "Receipts are there within seconds of the answer, where the deployment asks for them: " +
          '"plinth deployments update <id> --receipts".',
      ],
    });
  }
  if (out !== undefined) {
    await writeWhole(out, newest.evidence);
  }
  if (output.json) {
    return output.message(GetReceiptsResponseSchema, response);
  }
  for (const [i, receipt] of response.receipts.entries()) {
    output.lines([...(i === 0 ? [] : [""]), ...receiptLines(receipt)]);
  }
  if (others.length > 0) {
    output.note(`The id was used ${response.receipts.length} times; the newest is shown first.`);
  }
  output.note(
    out === undefined
      ? `Keep it with --out; then "plinth receipts verify" needs no server.`
      : `Written to ${out}. Verify it without a server: plinth receipts verify ${out} --key keys.txt`,
  );
}

function receiptLines(receipt: Receipt): readonly string[] {
  return factLines([
    ["inference", receipt.inferenceId],
    ["index", String(receipt.index)],
    ["deployment", receipt.deployment],
    ["model version", receipt.modelVersion],
    ["model file", hex(receipt.modelDigest)],
    ["time", exactTime(receipt.time)],
    ["rows", formatCount(receipt.rows)],
    ["context", hex(receipt.context)],
    ["inputs", hex(receipt.inputDigest)],
    ["outputs", hex(receipt.outputDigest)],
  ]);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
