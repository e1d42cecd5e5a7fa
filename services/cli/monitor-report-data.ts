// What a report is made of: the answers of the server, and why one is missing.

import type { Alert } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import type { PerformanceReport } from "../../gen/plinth/monitoring/v1/performance_pb.js";
import type { DriftReport, Window } from "../../gen/plinth/monitoring/v1/report_pb.js";

/** An answer, or why there is none. */
export type Answer<T> = { readonly value: T } | { readonly missing: string };

/** Everything that a report tells. */
export interface ReportData {
  readonly drift: DriftReport;
  /** Of the version, oldest first. */
  readonly windows: readonly Window[];
  readonly performance: Answer<PerformanceReport>;
  /** Of the deployment and the version, newest first. */
  readonly alerts: Answer<readonly Alert[]>;
  /** When the report was made. */
  readonly now: Date;
}
