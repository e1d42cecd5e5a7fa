// Imports the result of a public first phase. The hash comes from whoever publishes the file and is
// said beforehand; that the powers follow from each other is verified besides, which takes minutes
// for large files and goes on when the caller leaves, so that the same call later finds it done.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { STAGE_PREFIX } from "../circuits/circuit-files.ts";
import type { FileDigest } from "../prover/prover-port.ts";
import type { CeremonyDeps } from "./ceremony-deps.ts";
import { nameTaken, type PowersOfTau, type VerifiedPowersOfTau } from "./powers-of-tau-store.ts";
import { type Chunks, receiveChunks } from "./receive-file.ts";

type ImportDeps = Pick<CeremonyDeps, "blobs" | "claims" | "config" | "events" | "prover" | "ptaus">;

/** An import under way. */
export interface IncomingPowersOfTau {
  readonly name: string;
  readonly workspace: string;
  readonly actor: string;
  /** As it was said beforehand. */
  readonly digest: FileDigest;
  readonly chunks: Chunks;
  /** Aborts when the caller leaves; what has come whole is verified all the same. */
  readonly signal: AbortSignal;
}

/**
 * Stores the file and verifies all of it. The same file under the same name again is the first
 * answer; bytes that came whole before are not asked for again.
 *
 * @throws InvalidArgument (DIGEST_MISMATCH) where the bytes are others than those that were pinned,
 *   and where they are no powers of tau; AlreadyExists where the name is of another file;
 *   ResourceExhausted (STORAGE_FULL) where the disk is full. Nothing is kept then.
 */
export async function importPowersOfTau(
  deps: ImportDeps,
  incoming: IncomingPowersOfTau,
): Promise<VerifiedPowersOfTau> {
  const known = await deps.ptaus.find(incoming.name);
  if (known !== undefined && known.power !== null) {
    if (hashOf(known, incoming.digest) !== incoming.digest.hex) throw nameTaken(known);
    return known as VerifiedPowersOfTau;
  }
  const isHere =
    known !== undefined &&
    hashOf(known, incoming.digest) === incoming.digest.hex &&
    (await deps.blobs.size(known.sha256)) !== undefined;
  const held = isHere ? known : await receive(deps, incoming);
  const work = verify(deps, held);
  work.catch((error) => {
    if (incoming.signal.aborted) deps.events.backgroundFailed("import", held._id, error);
  });
  return await untilAborted(work, incoming.signal);
}

async function receive(
  { blobs, claims, config, ptaus }: ImportDeps,
  { name, workspace, actor, digest, chunks }: IncomingPowersOfTau,
): Promise<Stored<PowersOfTau>> {
  using room = await ptaus.reserve({ _id: name, workspace });
  const stageId = STAGE_PREFIX + randomUUID();
  try {
    const limit = {
      bytesMax: config.ptauBytesMax,
      because:
        "the most that is imported here (PLINTH_PROOFS_POWERS_OF_TAU_MAX). A file of a smaller " +
        "power does for smaller circuits",
    };
    const received = await (async () => {
      await using writer = await blobs.stage(stageId);
      return await receiveChunks(chunks, limit, (chunk) => writer.write(chunk));
    })();
    const found = received[digest.algorithm];
    if (found !== digest.hex) throw otherBytes(digest, found);
    const held = await ptaus.hold({ _id: name, workspace, actor, ...received });
    room[Symbol.dispose]();
    await claims?.claim(received.sha256);
    await blobs.commit(stageId, { digest: received.sha256, sizeBytes: received.sizeBytes });
    return held;
  } finally {
    await blobs.discard(stageId);
  }
}

/** Bytes are verified once, whoever asks for it and under however many names they go. */
function verify(deps: ImportDeps, held: Stored<PowersOfTau>): Promise<VerifiedPowersOfTau> {
  const { blobs, prover, ptaus } = deps;
  return withKey(`powers of tau ${held.sha256}`, async () => {
    try {
      const ptau = await blobs.localPath(held.sha256);
      const digest = { algorithm: "sha256", hex: held.sha256 } as const;
      const power =
        (await ptaus.verifiedPower(held.sha256)) ??
        (await prover.importPtau({ ptau, digest })).power;
      return await ptaus.settle(held, power);
    } catch (error) {
      // Bytes that are no powers of tau will not become any; everything else is worth a repetition.
      if (error instanceof InvalidArgument) await ptaus.release(held);
      throw error;
    }
  });
}

function hashOf(known: PowersOfTau, { algorithm }: FileDigest): string {
  return known[algorithm];
}

function otherBytes({ algorithm, hex }: FileDigest, found: string): InvalidArgument {
  return new InvalidArgument(
    `The bytes that came have the ${algorithm} hash ${found}, not ${hex}, which was said ` +
      "beforehand. Download the file again, or compare the hash with the list of whoever publishes " +
      "it.",
    {
      reason: ErrorReason.DIGEST_MISMATCH,
      violations: [{ field: `start.${algorithm}`, description: `the bytes have ${found}` }],
    },
  );
}

/** Waits for work that goes on when this caller leaves. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  return promise;
}
