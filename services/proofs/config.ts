// The settings of the proofs service.

import type { ConfigOf } from "../common/config.ts";
import { bytes, duration, integer, text, uri } from "../common/setting.ts";

/** What an operator may set; every one has a default. */
export const proofsSettings = {
  blobs: uri({
    env: "PLINTH_PROOFS_BLOBS",
    about:
      "Where circuits, keys and proofs live: file:<folder>. Default: the folder proofs of the data " +
      "folder.",
    schemes: ["file"],
  }),
  receiptKeys: text({
    env: "PLINTH_PROOFS_RECEIPT_KEYS",
    about:
      "Folder of the Ed25519 keys that sign receipts. Default: the folder receipt-keys of the data " +
      "folder.",
  }),
  receiptLogName: text({
    env: "PLINTH_PROOFS_RECEIPT_LOG_NAME",
    default: "plinth.local",
    about: "Names this installation in the heads of its receipt logs, like a host name.",
  }),
  receiptFlushMs: duration({
    env: "PLINTH_PROOFS_RECEIPT_FLUSH",
    default: "250ms",
    min: "1ms",
    max: "10s",
    about: "How long receipts wait to share a signed head.",
  }),
  receiptTtlMs: duration({
    env: "PLINTH_PROOFS_RECEIPT_TTL",
    default: "3650d",
    min: "1m",
    max: "36500d",
    about: "How long receipts can be read; their hashes stay in the log for good.",
  }),
  constraintsMax: integer({
    env: "PLINTH_PROOFS_CONSTRAINTS_MAX",
    default: 262_144,
    min: 64,
    max: 4_194_304,
    about: "Constraints of a circuit; 2^18 take about 2 GB in the prover.",
  }),
  modelBytesMax: bytes({
    env: "PLINTH_PROOFS_MODEL_MAX",
    default: "256MiB",
    min: "1KiB",
    about: "Largest ONNX file that a circuit is made of.",
  }),
  compileTimeoutMs: duration({
    env: "PLINTH_PROOFS_COMPILE_TIMEOUT",
    default: "10m",
    min: "1s",
    max: "24h",
    about: "How long compiling and checking a circuit may take.",
  }),
  compileMemoryMax: bytes({
    env: "PLINTH_PROOFS_COMPILE_MEMORY_MAX",
    default: "4GiB",
    min: "256MiB",
    about: "Resident memory of the process that compiles circuits and evaluates them, at most.",
  }),
  setupTimeoutMs: duration({
    env: "PLINTH_PROOFS_SETUP_TIMEOUT",
    default: "1h",
    min: "1s",
    max: "24h",
    about: "How long a set-up, a contribution or the verification of a key may take.",
  }),
  proveTimeoutMs: duration({
    env: "PLINTH_PROOFS_PROVE_TIMEOUT",
    default: "2m",
    min: "1s",
    max: "24h",
    about: "How long one proof may take.",
  }),
  proverMemoryMax: bytes({
    env: "PLINTH_PROOFS_PROVER_MEMORY_MAX",
    min: "512MiB",
    about:
      "Resident memory of each of the prover's two processes (proofs, keys), at most. Default: a " +
      "third of the machine's.",
  }),
  rapidsnark: text({
    env: "PLINTH_PROOFS_RAPIDSNARK",
    about:
      "Path of a rapidsnark binary that makes Groth16 proofs in the place of the one that comes with Plinth.",
  }),
  queueRowsMax: integer({
    env: "PLINTH_PROOFS_QUEUE_ROWS_MAX",
    default: 10_000,
    min: 1,
    max: 10_000_000,
    about: "Rows of a workspace that may wait for their proofs; more are refused.",
  }),
  jobTtlMs: duration({
    env: "PLINTH_PROOFS_JOB_TTL",
    default: "30d",
    min: "1m",
    max: "3650d",
    about: "How long a proof job stays after its end; its proofs stay longer.",
  }),
  jobLeaseMs: duration({
    env: "PLINTH_PROOFS_JOB_LEASE",
    default: "30s",
    min: "1s",
    max: "10m",
    about: "How long a worker may be silent before another takes its work over.",
  }),
  jobPollMs: duration({
    env: "PLINTH_PROOFS_JOB_POLL",
    default: "5s",
    min: "50ms",
    max: "10m",
    about: "How often work is looked for that nobody does.",
  }),
  ptauBytesMax: bytes({
    env: "PLINTH_PROOFS_POWERS_OF_TAU_MAX",
    default: "2GiB",
    min: "1KiB",
    about: "Largest file of powers of tau that is imported.",
  }),
};

export type ProofsConfig = ConfigOf<typeof proofsSettings>;
