// `plinth circuits ptau import|list|delete`: powers of tau, which keys that nobody made alone start
// from.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type PowersOfTau, PowersOfTauSchema } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import {
  type ImportPowersOfTauRequestSchema,
  type ImportPowersOfTauStartSchema,
  ListPowersOfTauResponseSchema,
} from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { UsageError } from "./exit-codes.ts";
import { formatTime, shortDigest } from "./format.ts";
import { bytesBar, formatBytes, formatCount } from "./progress.ts";
import { lastPart, powersOfTauReference } from "./proof-names.ts";
import type { Session } from "./session.ts";

interface ImportOptions {
  readonly id: string;
  readonly sha256?: string;
  readonly blake2b?: string;
}

type Digest = MessageInitShape<typeof ImportPowersOfTauStartSchema>["digest"];

/** A sixteenth of the protocol's limit. */
const CHUNK_BYTES = 256 * 1024;

/** `plinth circuits ptau import` */
export async function importPtau(
  session: Session,
  [path]: readonly [string],
  options: ImportOptions,
): Promise<void> {
  const { output, signal } = session;
  const digest = digestOf(options);
  const facts = await stat(path);
  if (facts.isDirectory()) {
    throw new UsageError(`"${path}" is a folder; name a .ptau file.`);
  }
  const title = `Uploading ${basename(path)}`;
  using bar = await bytesBar({ show: output.showsProgress, title, total: facts.size });
  let sent = 0;
  async function* requests(): AsyncGenerator<
    MessageInitShape<typeof ImportPowersOfTauRequestSchema>
  > {
    const value = { parent: session.parent, powersOfTauId: options.id, digest };
    yield { payload: { case: "start", value } };
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal })) {
      yield { payload: { case: "chunk", value: chunk as Buffer } };
      sent += (chunk as Buffer).length;
      bar.update(sent, sent === facts.size ? "being verified" : "");
    }
  }
  const imported = await session.circuits.importPowersOfTau(requests(), session.call);
  bar[Symbol.dispose]();
  if (output.json) {
    return output.message(PowersOfTauSchema, imported);
  }
  const most = formatCount(2 ** imported.power);
  output.line(
    `${lastPart(imported.name)} is imported and verified: circuits with a domain of up to ` +
      `2^${imported.power} (${most}), ${formatBytes(Number(imported.sizeBytes))}, ` +
      `SHA-256 ${imported.sha256}`,
  );
}

/** `plinth circuits ptau list` */
export async function listPtau(session: Session): Promise<void> {
  const { output } = session;
  const { parent } = session;
  const response = await session.circuits.listPowersOfTau({ parent }, session.call);
  if (output.json) {
    return output.message(ListPowersOfTauResponseSchema, response);
  }
  output.table(
    [
      { title: "ID" },
      { title: "DOMAIN", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "SHA-256" },
      { title: "IMPORTED" },
      { title: "BY" },
    ],
    response.powersOfTau.map(cells),
    `No powers of tau in ${parent}. Import some with "plinth circuits ptau import".`,
  );
}

/** `plinth circuits ptau delete` */
export async function deletePtau(session: Session, [id]: readonly [string]): Promise<void> {
  const name = powersOfTauReference(session, id);
  await session.circuits.deletePowersOfTau({ name }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${lastPart(name)} is deleted.`);
  }
}

function cells({
  name,
  power,
  sizeBytes,
  sha256,
  createTime,
  actor,
}: PowersOfTau): readonly string[] {
  return [
    lastPart(name),
    `2^${power}`,
    formatBytes(Number(sizeBytes)),
    shortDigest(sha256),
    formatTime(createTime),
    actor,
  ];
}

/** @throws UsageError unless exactly one hash of the right length is there. */
function digestOf({ sha256, blake2b }: ImportOptions): NonNullable<Digest> {
  const given = (sha256 ?? blake2b ?? "").toLowerCase();
  const digits = sha256 === undefined ? 128 : 64;
  if ((sha256 === undefined) === (blake2b === undefined)) {
    throw new UsageError(
      "Give --sha256 or --blake2b: the hash that whoever publishes the file names. One of them.",
    );
  }
  if (!new RegExp(`^[0-9a-f]{${digits}}$`).test(given)) {
    const option = sha256 === undefined ? "--blake2b" : "--sha256";
    throw new UsageError(`${option} must have ${digits} hexadecimal digits; got ${given.length}.`);
  }
  return sha256 === undefined
    ? { case: "blake2b512", value: given }
    : { case: "sha256", value: given };
}
