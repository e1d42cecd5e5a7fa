// `plinth proof show|list|download|delete`: proofs that the server keeps.

import { create } from "@bufbuild/protobuf";
import { type Proof, ProofSchema } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { ListProofsResponseSchema } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { DEVELOPMENT_PROOF_WARNING } from "./circuits-words.ts";
import { formatDuration, formatTime, shortDigest } from "./format.ts";
import { saveProof } from "./proof-file.ts";
import { statementFacts } from "./proof-lines.ts";
import { lastPart, resolveOneCircuit, resolveProof, shortCircuit } from "./proof-names.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines } from "./table.ts";

interface ListOptions {
  readonly inferenceId?: string;
  readonly circuit?: string;
  readonly limit: number;
}

/** `plinth proof show` */
export async function showProof(session: Session, [text]: readonly [string]): Promise<void> {
  const { output } = session;
  const name = await resolveProof(session, text);
  const proof = await session.proofs.getProof({ name }, session.call);
  if (output.json) {
    return output.message(ProofSchema, proof);
  }
  output.lines(proofLines(proof));
  if (proof.development) {
    output.warning(DEVELOPMENT_PROOF_WARNING);
  }
}

/** `plinth proof list` */
export async function listProofs(
  session: Session,
  _args: readonly [],
  { inferenceId = "", circuit: text, limit }: ListOptions,
): Promise<void> {
  const { output, parent } = session;
  const circuit = text === undefined ? "" : await resolveOneCircuit(session, text);
  const { items, more } = await listAll({
    limit,
    page: (page) =>
      session.proofs.listProofs({ parent, inferenceId, circuit, ...page }, session.call),
    items: (response) => response.proofs,
  });
  if (output.json) {
    const all = create(ListProofsResponseSchema, { proofs: [...items] });
    return output.message(ListProofsResponseSchema, all);
  }
  output.table(
    [
      { title: "PROOF" },
      { title: "CIRCUIT" },
      { title: "KEY" },
      { title: "INFERENCE" },
      { title: "ROW", align: "right" },
      { title: "PROVED IN", align: "right" },
      { title: "MADE" },
    ],
    items.map((proof) => [
      shortDigest(lastPart(proof.name)),
      shortCircuit(proof.circuit),
      proof.development ? "DEVELOPMENT" : "",
      proof.inferenceId,
      String(proof.row + 1),
      formatDuration(proof.timings?.prove),
      formatTime(proof.createTime),
    ]),
    'No proofs. Make some with "plinth prove".',
  );
  noteMore(session, more);
}

/** `plinth proof download` */
export async function downloadProof(
  session: Session,
  [text]: readonly [string],
  { out }: { readonly out?: string },
): Promise<void> {
  const name = await resolveProof(session, text);
  const id = lastPart(name);
  const path = await saveProof(session, name, out ?? `proof-${id.slice(0, 12)}.json`);
  if (session.output.json) {
    session.output.value({ name, file: path, sha256: id });
  } else {
    session.output.line(`${path}: proof ${id}`);
  }
}

/** `plinth proof delete` */
export async function deleteProof(session: Session, [text]: readonly [string]): Promise<void> {
  const name = await resolveProof(session, text);
  await session.proofs.deleteProof({ name }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`Proof ${shortDigest(lastPart(name))} is deleted.`);
  }
}

/** Everything of a proof that people read; the points themselves are in its file. */
function proofLines(proof: Proof): readonly string[] {
  const { statement, timings } = proof;
  return factLines([
    ["proof", lastPart(proof.name)],
    ...(statement === undefined ? [] : statementFacts(statement)),
    ["model version", proof.modelVersion],
    ["circuit", proof.circuit],
    ["inference", proof.inferenceId],
    ["row", String(proof.row + 1)],
    ["verifying key", proof.verifyingKeyHash || "none: PLONK"],
    ["model commitment", proof.modelCommitment],
    ["schema", proof.schemaHash],
    ["made", formatTime(proof.createTime)],
    ["took", timings && timingsText(timings)],
  ]);
}

function timingsText({
  queue,
  witness,
  check,
  prove,
  verify,
}: NonNullable<Proof["timings"]>): string {
  const parts = { queue, witness, check, prove, verify };
  return Object.entries(parts)
    .flatMap(([name, time]) => (time === undefined ? [] : `${name} ${formatDuration(time)}`))
    .join(", ");
}
