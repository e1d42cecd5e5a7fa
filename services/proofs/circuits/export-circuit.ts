// The files of a circuit as others take them away: what each is called and what is in it.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ExportCircuitRequest_File as File } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { Stored } from "../../common/documents/port.ts";
import { DataLoss, FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import { transcriptJson } from "../ceremony/transcript.ts";
import { contractVector } from "../contract/contract-vector.ts";
import { CONTRACT_NAME, exportContract, SOURCE_FILE } from "../contract/export-contract.ts";
import { readProof } from "../verifier/proof-format.ts";
import { verifyInference } from "../verifier/verify-inference.ts";
import { type Circuit, isDevelopment } from "./circuit.ts";
import { compiledOf, keyOf } from "./circuit-files.ts";
import type { CircuitDeps } from "./deps.ts";
import { asPrecondition, groth16Key } from "./usable-key.ts";
import { verifyingFileText } from "./verifying-file.ts";

/** As the API promises. */
const CHUNK_BYTES_MAX = 1024 * 1024;

/** A file, and its bytes in chunks of at most 1 MiB. */
export interface CircuitFile {
  readonly fileName: string;
  readonly sizeBytes: number;
  /** Lower-case hex SHA-256. */
  readonly sha256: string;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

type ExportDeps = Pick<CircuitDeps, "blobs" | "newestProof">;

/**
 * A file of the circuit.
 *
 * @throws FailedPrecondition where it has no such file, or not yet; InvalidArgument; DataLoss, also
 *   in place of the last chunk
 */
export async function exportCircuit(
  { blobs, newestProof }: ExportDeps,
  circuit: Stored<Circuit>,
  file: File,
): Promise<CircuitFile> {
  switch (file) {
    case File.CONSTRAINTS:
      return await blobFile(blobs, "circuit.r1cs", compiledOf(circuit).constraints);
    case File.MODEL:
      return await blobFile(blobs, "model.json", compiledOf(circuit).model);
    case File.PROVING_KEY:
      return await blobFile(blobs, "circuit.zkey", keyOf(circuit).zkey);
    case File.VERIFYING_KEY:
      return textFile("verifying-key.json", verifyingKeyText(circuit));
    case File.SOLIDITY:
      return textFile(SOURCE_FILE, contractOf(circuit).source);
    case File.SOLC_INPUT:
      return jsonFile(`${CONTRACT_NAME}.solc.json`, contractOf(circuit).standardJson);
    case File.ABI:
      return jsonFile(`${CONTRACT_NAME}.abi.json`, contractOf(circuit).abi);
    case File.TRANSCRIPT:
      return textFile("transcript.json", transcriptJson(circuit));
    case File.TEST_VECTOR:
      return jsonFile(`${CONTRACT_NAME}.vector.json`, await vectorOf({ newestProof }, circuit));
    case File.UNSPECIFIED:
      throw new InvalidArgument("file must say which file of the circuit.", {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "file", description: "must be one of the known files" }],
      });
  }
}

function verifyingKeyText(circuit: Circuit): string {
  groth16Key(circuit);
  const { constraints, schema } = compiledOf(circuit);
  const { setup, verifyingKey } = keyOf(circuit).record;
  return asPrecondition(circuit._id, () =>
    verifyingFileText({ verifyingKey, schema, circuitHash: constraints, setup }),
  );
}

function contractOf(circuit: Circuit): ReturnType<typeof exportContract> {
  const verifyingKey = groth16Key(circuit);
  const { schema } = compiledOf(circuit);
  const isDevelopmentSetup = isDevelopment(circuit);
  return asPrecondition(circuit._id, () =>
    exportContract({ verifyingKey, schema, isDevelopmentSetup }),
  );
}

async function vectorOf(
  { newestProof }: Pick<ExportDeps, "newestProof">,
  circuit: Circuit,
): Promise<ReturnType<typeof contractVector>> {
  // Refused for the same circuits as the contract is.
  contractOf(circuit);
  const { schema } = compiledOf(circuit);
  const { verifyingKey } = keyOf(circuit).record;
  const newest = await newestProof(circuit);
  // An earlier circuit of this name may have left proofs of another key.
  if (newest === undefined || !verifyInference({ ...newest, verifyingKey, schema }).valid) {
    const description = "has no proof yet to make a test vector of; make one with ProveInference";
    throw new FailedPrecondition(`${circuit._id} ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: circuit._id },
      violations: [{ type: "NO_PROOF", subject: circuit._id, description }],
    });
  }
  return asPrecondition(circuit._id, () =>
    contractVector(schema, newest.publicValues.map(BigInt), readProof(newest.proof)),
  );
}

async function blobFile(blobs: BlobStore, fileName: string, sha256: Digest): Promise<CircuitFile> {
  const sizeBytes = await blobs.size(sha256);
  if (sizeBytes === undefined) {
    throw new DataLoss(
      `The file ${fileName} of the circuit is gone. Bring it back from a backup.`,
      {
        reason: ErrorReason.DIGEST_MISMATCH,
        metadata: { digest: sha256 },
      },
    );
  }
  return { fileName, sizeBytes, sha256, chunks: blobs.read(sha256) };
}

function jsonFile(fileName: string, value: unknown): CircuitFile {
  return textFile(fileName, `${JSON.stringify(value, undefined, 2)}\n`);
}

function textFile(fileName: string, text: string): CircuitFile {
  const bytes = Buffer.from(text, "utf8");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { fileName, sizeBytes: bytes.length, sha256, chunks: chunksOf(bytes) };
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES_MAX) {
    yield bytes.subarray(at, at + CHUNK_BYTES_MAX);
  }
}
