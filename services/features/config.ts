// The settings of the features service.

import type { ConfigOf } from "../common/config.ts";
import { bytes, duration, integer, uri } from "../common/setting.ts";

/** What an operator may set; every one has a default. */
export const featuresSettings = {
  blobs: uri({
    env: "PLINTH_FEATURES_BLOBS",
    about:
      "Where offline files, tables and training sets live: file:<folder>. Default: the folder " +
      "features of the data folder.",
    schemes: ["file"],
  }),
  engineMemoryBytes: bytes({
    env: "PLINTH_FEATURES_ENGINE_MEMORY_MAX",
    default: "1GiB",
    min: "256MiB",
    about:
      "Memory that one offline engine (DuckDB) works in; what needs more goes to disk. The process " +
      "takes up to 512MiB more.",
  }),
  engineSpillBytes: bytes({
    env: "PLINTH_FEATURES_ENGINE_SPILL_MAX",
    default: "50GiB",
    min: "0B",
    about: "Disk that one offline engine may use beside its memory.",
  }),
  engineThreads: integer({
    env: "PLINTH_FEATURES_ENGINE_THREADS_MAX",
    default: 0,
    min: 0,
    max: 256,
    about: "Threads of one offline engine; 0: one a core.",
  }),
  engineProcessesMax: integer({
    env: "PLINTH_FEATURES_ENGINE_PROCESSES_MAX",
    default: 1,
    min: 1,
    max: 64,
    about: "Offline engines at once in one replica.",
  }),
  engineIdleMs: duration({
    env: "PLINTH_FEATURES_ENGINE_IDLE_MAX",
    default: "30s",
    min: "0s",
    max: "1h",
    about: "How long an offline engine waits for its next task before it ends.",
  }),
  flushIntervalMs: duration({
    env: "PLINTH_FEATURES_FLUSH_INTERVAL",
    default: "60s",
    min: "100ms",
    max: "1h",
    about: "Oldest a pushed row gets before it goes from the log into a Parquet file.",
  }),
  flushRowsMax: integer({
    env: "PLINTH_FEATURES_FLUSH_ROWS_MAX",
    default: 200_000,
    min: 1_000,
    max: 5_000_000,
    about: "Rows of a view in the log that start a flush before the interval ends.",
  }),
  pendingRowsMax: integer({
    env: "PLINTH_FEATURES_PENDING_ROWS_MAX",
    default: 5_000_000,
    min: 10_000,
    max: 100_000_000,
    about: "Rows of a view in the log; more pushes are refused until a flush.",
  }),
  compactFilesMax: integer({
    env: "PLINTH_FEATURES_COMPACT_FILES_MAX",
    default: 8,
    min: 2,
    max: 1_000,
    about: "Files of one day and view that start a compaction of that day.",
  }),
  tableBytesMax: bytes({
    env: "PLINTH_FEATURES_TABLE_MAX",
    default: "4GiB",
    min: "1KiB",
    about: "Largest file that may be uploaded as a table.",
  }),
  tableTtlMs: duration({
    env: "PLINTH_FEATURES_TABLE_TTL",
    default: "24h",
    min: "1m",
    about: "How long an uploaded table stays.",
  }),
  cacheEntriesMax: integer({
    env: "PLINTH_FEATURES_CACHE_ENTRIES_MAX",
    default: 0,
    min: 0,
    max: 10_000_000,
    about: "Entities whose online rows are kept in memory; 0: every read goes to the store.",
  }),
  cacheStalenessMs: duration({
    env: "PLINTH_FEATURES_CACHE_STALENESS_MAX",
    default: "1s",
    min: "1ms",
    max: "1h",
    about: "Longest a row in memory may lag behind the store.",
  }),
  readLogRowsMax: integer({
    env: "PLINTH_FEATURES_READ_LOG_ROWS_MAX",
    default: 20_000,
    min: 100,
    max: 1_000_000,
    about: "Kept online reads that wait to be written; more are dropped and counted.",
  }),
  jobsMax: integer({
    env: "PLINTH_FEATURES_JOBS_MAX",
    default: 2,
    min: 1,
    max: 64,
    about: "Jobs that one replica works on at once.",
  }),
  jobLeaseMs: duration({
    env: "PLINTH_FEATURES_JOB_LEASE",
    default: "10s",
    min: "500ms",
    max: "10m",
    about: "How long a replica that went silent keeps others from its jobs and views.",
  }),
  jobTtlMs: duration({
    env: "PLINTH_FEATURES_JOB_TTL",
    default: "30d",
    min: "1m",
    max: "3650d",
    about: "How long a job stays after its end; one that made a training set stays until deleted.",
  }),
  jobPollMs: duration({
    env: "PLINTH_FEATURES_JOB_POLL",
    default: "2s",
    min: "50ms",
    max: "10m",
    about: "How often jobs are looked for that nobody works on.",
  }),
  sweepIntervalMs: duration({
    env: "PLINTH_FEATURES_SWEEP_INTERVAL",
    default: "10m",
    min: "1s",
    max: "24h",
    about: "How often files that nothing refers to are removed.",
  }),
};

export type FeaturesConfig = ConfigOf<typeof featuresSettings>;
