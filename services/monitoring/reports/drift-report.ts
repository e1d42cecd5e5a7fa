// GetDriftReport: finds the version and the time that are meant, merges the windows, compares them
// with what they are to be compared with.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { GetDriftReportRequest } from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { DriftReportSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { nearestName } from "../../common/nearest-name.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { driftSettings } from "../monitors/drift-options.ts";
import type { DriftSettings } from "../monitors/monitor-settings.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import type { Target } from "../target.ts";
import type { ReadWindows } from "../windows/read-windows.ts";
import { checkVersion, chooseTarget } from "./choose-target.ts";
import { compareInTurns } from "./compare-windows.ts";
import { freshnessMessages } from "./freshness-message.ts";
import type { ReportDeps, TimeSpan } from "./report-sources.ts";
import { type AskedRange, askedRange, rangeMessage, rangeWords, timeWords } from "./time-range.ts";

/** As the API promises. */
const COLUMNS_MAX = 1000;
const SUGGESTIONS_MAX = 5;
const SUGGESTED_LENGTH_MAX = 80;
/** After all windows. */
const FOREVER_US = Number.MAX_SAFE_INTEGER;

/** A request that was checked. */
interface Asked {
  readonly deployment: string;
  readonly version: string;
  readonly range: AskedRange;
  readonly reference:
    | { readonly kind: "baseline" }
    | { readonly kind: "range"; readonly range: AskedRange }
    | { readonly kind: "version"; readonly version: string };
  /** Absent: the monitor's. */
  readonly drift: DriftSettings | undefined;
  readonly columns: readonly string[];
  readonly brief: boolean;
}

/** What a report compares with, and what that is called. */
interface Reference {
  readonly name: string;
  readonly sketch: WindowSketch | undefined;
}

/**
 * The report.
 * @throws InvalidArgument; NotFound where no such version was seen; FailedPrecondition where there
 *   is no window yet.
 */
export async function makeDriftReport(
  deps: ReportDeps,
  request: GetDriftReportRequest,
  call: { readonly workspace: string; readonly signal: AbortSignal },
): Promise<MessageInitShape<typeof DriftReportSchema>> {
  const begin = performance.now();
  const asked = parse(request);
  const targets = await deps.windows.targets(call.workspace, asked.deployment);
  const target = chooseTarget(targets, { ...asked, field: "model_version" });
  const ready = await deps.baselines.ready(target.modelVersionUid);
  const baseline = ready?.baseline;
  const layout = ready?.layout ?? (await layoutOf(deps, target));
  const columns = asked.columns.length === 0 ? undefined : columnsIn(layout, asked.columns);
  const range = await rangeOf(deps, target, asked.range);
  const current = await deps.windows.read(target, range, layout);
  const span = { startUs: current.startUs, endUs: current.endUs };
  const reference = await referenceOf(deps, asked, { target, targets, layout, span, baseline });
  const drift = asked.drift ?? (await deps.monitors.get(asked.deployment)).drift;
  const compared = await compareInTurns(
    {
      layout,
      current: current.sketch,
      reference: reference.sketch,
      baseline,
      drift,
      brief: asked.brief,
      ...(columns === undefined ? {} : { columns }),
    },
    call.signal,
  );
  deps.events.reportMade(performance.now() - begin);
  return {
    deployment: target.deployment,
    modelVersion: target.modelVersion,
    ...measured(current),
    reference: reference.name,
    referenceRows: BigInt(reference.sketch?.rows ?? 0),
    features: compared.features,
    predictions: compared.predictions,
    columns: compared.columns,
  };
}

function parse(request: GetDriftReportRequest): Asked {
  const { deployment, modelVersion, range, reference, options, columns, brief } = request;
  const faults = new RequestFaults();
  checkVersion(modelVersion, "model_version", faults);
  const asked: Asked = {
    deployment,
    version: modelVersion,
    range: askedRange(range, "range", faults),
    reference: parseReference(reference, faults),
    drift: options === undefined ? undefined : driftSettings(options, "options", faults),
    columns,
    brief,
  };
  const count = columns.length;
  faults.check(count <= COLUMNS_MAX, "columns", `has ${count} entries; at most ${COLUMNS_MAX}`);
  faults.done();
  return asked;
}

function parseReference(
  reference: GetDriftReportRequest["reference"],
  faults: RequestFaults,
): Asked["reference"] {
  switch (reference.case) {
    case "referenceRange": {
      const range = askedRange(reference.value, "reference_range", faults);
      faults.check(range.startUs !== undefined, "reference_range.start_time", "must be given");
      return { kind: "range", range };
    }
    case "referenceVersion":
      checkVersion(reference.value, "reference_version", faults);
      faults.check(reference.value !== "", "reference_version", "must name a version");
      return { kind: "version", version: reference.value };
    case undefined:
      return { kind: "baseline" };
  }
}

/** What windows of the version are counted on now. */
async function layoutOf(deps: ReportDeps, target: Target): Promise<WindowLayout> {
  const layout = await deps.baselines.currentLayout(target.modelVersionUid);
  if (layout === undefined) {
    const record = await deps.baselines.current(target.modelVersionUid);
    const isLearning = record?.state === "learning" || record?.state === "freezing";
    throw noWindow(
      target,
      isLearning
        ? "its first rows are still being collected for a baseline, and are in no window. " +
            "GetBaseline says how many have come; or upload a baseline"
        : "nothing of it is counted yet",
    );
  }
  return layout;
}

/** The time that is asked for; absent start: the newest window that has closed. */
async function rangeOf(deps: ReportDeps, target: Target, asked: AskedRange): Promise<TimeSpan> {
  const { startUs, endUs = FOREVER_US } = asked;
  if (startUs !== undefined) {
    return { startUs, endUs };
  }
  const newest =
    asked.endUs === undefined
      ? await deps.windows.newestClosed(target._id)
      : (await deps.windows.list(target._id, { endUs })).find(
          (window) => window.closed && window.level === "window" && window.endUs <= endUs,
        );
  if (newest !== undefined) {
    return { startUs: newest.startUs, endUs: newest.endUs };
  }
  const [open] = await deps.windows.list(target._id, {}, { limit: 1 });
  throw noWindow(
    target,
    open === undefined
      ? "there is none"
      : `the newest, ${rangeWords(open)}, is still open. Ask for it with ` +
          `range.start_time ${timeWords(open.startUs)}`,
  );
}

async function referenceOf(
  deps: ReportDeps,
  asked: Asked,
  of: {
    readonly target: Target;
    readonly targets: readonly Target[];
    readonly layout: WindowLayout;
    readonly span: TimeSpan;
    readonly baseline: WindowSketch | undefined;
  },
): Promise<Reference> {
  const { target, targets, layout, span, baseline } = of;
  switch (asked.reference.kind) {
    case "baseline":
      return { name: `${target.modelVersion}/baseline`, sketch: baseline };
    case "range": {
      const { startUs = 0, endUs = FOREVER_US } = asked.reference.range;
      const before = await deps.windows.read(target, { startUs, endUs }, layout);
      return { name: rangeWords(before), sketch: before.sketch };
    }
    case "version": {
      const { version } = asked.reference;
      const { deployment } = asked;
      const other = chooseTarget(targets, { deployment, version, field: "reference_version" });
      const otherLayout = await layoutOf(deps, other);
      const beside = await deps.windows.read(other, span, otherLayout);
      return { name: other.modelVersion, sketch: beside.sketch };
    }
  }
}

function measured(current: ReadWindows) {
  return {
    range: rangeMessage(current),
    rows: BigInt(current.sketch.rows),
    windows: current.windows,
    otherLayoutWindows: current.otherLayoutWindows,
    freshness: freshnessMessages(current.totals),
    strayValues: BigInt(current.sketch.strayValues),
    open: current.open,
  };
}

/** @throws InvalidArgument that says for the first unknown columns what they might have meant. */
function columnsIn(layout: WindowLayout, columns: readonly string[]): ReadonlySet<string> {
  const faults = new RequestFaults();
  let suggestions = 0;
  for (const [i, column] of columns.entries()) {
    if (layout.places.has(column)) {
      continue;
    }
    suggestions += 1;
    const near = suggestions <= SUGGESTIONS_MAX ? suggestion(layout, column) : "";
    const shown = JSON.stringify(column.slice(0, SUGGESTED_LENGTH_MAX));
    faults.check(false, `columns[${i}]`, `is ${shown}, which is no column of the version${near}`);
  }
  faults.done();
  return new Set(columns);
}

/** Comparing names costs the product of their lengths. */
function suggestion(layout: WindowLayout, column: string): string {
  if (column.length > SUGGESTED_LENGTH_MAX) {
    return "";
  }
  const names = layout.columns.map(({ name }) => name);
  const near = nearestName(
    column,
    names.filter((name) => name.length <= SUGGESTED_LENGTH_MAX),
  );
  return near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
}

function noWindow(target: Target, why: string): FailedPrecondition {
  const { deployment, modelVersion } = target;
  return new FailedPrecondition(
    `No window of ${modelVersion} in ${deployment} has closed: ${why}.`,
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: deployment },
      violations: [{ type: "WINDOW", subject: modelVersion, description: why }],
    },
  );
}
