// What a watch is sent, as bytes: a job or a proof is encoded once, whoever watches.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ProofJobSchema, ProofSchema } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import {
  WatchProofRequestSchema,
  WatchProofResponseSchema,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import type { MethodCodec } from "../../common/rpc/context.ts";

const { proofJob, proofs } = WatchProofResponseSchema.field;

/** Takes the bytes that `watchMessage` gave in the place of messages. */
const watchProof: MethodCodec = {
  decode: (bytes) => fromBinary(WatchProofRequestSchema, bytes),
  encode: (message) => message as Uint8Array,
};

/** To be bound with the handlers. */
export const provingCodecs: Readonly<Record<string, MethodCodec>> = { watchProof };

/** A job, to be put into messages. */
export function jobBytes(job: MessageInitShape<typeof ProofJobSchema>): Uint8Array {
  return toBinary(ProofJobSchema, create(ProofJobSchema, job));
}

/** A proof, to be put into messages. */
export function proofBytes(proof: MessageInitShape<typeof ProofSchema>): Uint8Array {
  return toBinary(ProofSchema, create(ProofSchema, proof));
}

/** A WatchProofResponse of what was encoded before; undefined: more of the same follows. */
export function watchMessage(
  job: Uint8Array | undefined,
  proofsSince: readonly Uint8Array[],
): Uint8Array {
  const writer = new BinaryWriter();
  if (job !== undefined) {
    writer.tag(proofJob.number, WireType.LengthDelimited).bytes(job);
  }
  for (const proof of proofsSince) {
    writer.tag(proofs.number, WireType.LengthDelimited).bytes(proof);
  }
  return writer.finish();
}
