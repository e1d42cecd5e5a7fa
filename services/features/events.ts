// What the features service tells the people who run it: one function per business event, each a
// count or a duration and a log record. None of them throws.

import { counter, histogram } from "../common/telemetry/instruments.ts";
import type { Logger } from "../common/telemetry/log.ts";

const pushed = counter({
  name: "plinth.features.rows_pushed",
  unit: "{row}",
  description: "Rows stored by pushes, by view.",
});
const refused = counter({
  name: "plinth.features.rows_refused",
  unit: "{row}",
  description: "Rows of pushes that were refused, by view.",
});
const applied = counter({
  name: "plinth.features.definition_changes",
  unit: "{change}",
  description: "Definitions created, changed and deleted.",
});
const jobs = counter({
  name: "plinth.features.jobs",
  unit: "{job}",
  description: "Jobs that ended, by kind and state.",
});
const jobTime = histogram({
  name: "plinth.features.job.duration",
  unit: "s",
  description: "Time from the creation of a job to its end, by kind.",
  // From a small compaction to a training set of a large history.
  boundaries: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200],
});
const flushes = histogram({
  name: "plinth.features.flush.duration",
  unit: "s",
  description: "Time to bring the rows of a log into Parquet files.",
  boundaries: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});
const backgroundFailures = counter({
  name: "plinth.features.background_failures",
  unit: "{failure}",
  description: "Flushes, compactions and sweeps that failed and will be repeated, by work.",
});
const readsDropped = counter({
  name: "plinth.features.kept_reads_dropped",
  unit: "{row}",
  description:
    "Sampled online reads that were not kept because too many waited or the write failed.",
});
const filesSwept = counter({
  name: "plinth.features.files_swept",
  unit: "{file}",
  description: "Files removed because nothing referred to them.",
});

export interface FeaturesEvents {
  /** `view` is the view's name. */
  rowsPushed(view: string, rows: { readonly written: number; readonly refused: number }): void;
  definitionChanged(name: string, change: "created" | "updated" | "deleted", actor: string): void;
  jobEnded(
    name: string,
    end: { readonly kind: string; readonly state: string; readonly durationMs: number },
  ): void;
  flushed(view: string, flush: { readonly rows: number; readonly durationMs: number }): void;
  /** `work` is "flush", "compaction", "sweep" or "job lease"; it is repeated later. */
  backgroundFailed(work: string, subject: string, error: unknown): void;
  readsDropped(rows: number): void;
  filesSwept(files: number): void;
}

/** Events that go to metrics and to this log. */
export function createEvents(log: Logger): FeaturesEvents {
  return {
    rowsPushed(view, rows) {
      pushed.bind({ "plinth.feature_view": view }).add(rows.written);
      if (rows.refused > 0) {
        refused.bind({ "plinth.feature_view": view }).add(rows.refused);
      }
    },
    definitionChanged(name, change, actor) {
      applied.bind({ "plinth.change": change }).add(1);
      log.info("Definition changed", { name, change, actor });
    },
    jobEnded(name, { kind, state, durationMs }) {
      jobs.bind({ "plinth.job.kind": kind, "plinth.job.state": state }).add(1);
      jobTime.bind({ "plinth.job.kind": kind }).record(durationMs / 1000);
      log.info("Job ended", { name, kind, state, durationMs: Math.round(durationMs) });
    },
    flushed(view, { rows, durationMs }) {
      flushes.bind({}).record(durationMs / 1000);
      log.debug("Rows went into files", { view, rows, durationMs: Math.round(durationMs) });
    },
    backgroundFailed(work, subject, error) {
      backgroundFailures.bind({ "plinth.work": work }).add(1);
      log.warn("Background work failed and will be repeated", { work, subject, error });
    },
    readsDropped(rows) {
      readsDropped.bind({}).add(rows);
    },
    filesSwept(files) {
      if (files > 0) {
        filesSwept.bind({}).add(files);
        log.info("Files that nothing refers to were removed", { files });
      }
    },
  };
}
