// ListWindows: the windows of a deployment's versions, newest first; days where their windows are
// no longer kept.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ListWindowsRequest,
  ListWindowsResponseSchema,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { decodePageToken, encodePageToken, pageSizeOf } from "../../common/page-token.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { Target } from "../target.ts";
import type { WindowInfo } from "../windows/window-record.ts";
import { checkVersion, chooseTarget } from "./choose-target.ts";
import type { ReportDeps } from "./report-sources.ts";
import { type AskedRange, askedRange } from "./time-range.ts";
import { windowMessage } from "./window-message.ts";

/** Windows of one target that begin together: of layouts that replaced one another, and a day. */
const SAME_START_MAX = 10;

/** One window of one target. */
interface Listed {
  readonly target: Target;
  readonly window: WindowInfo;
}

/** Where a page ended: start, target and layout of its last window. */
type Place = readonly [startUs: number, target: string, layout: string, level: string];

/**
 * One page.
 * @throws InvalidArgument; NotFound where a version is named that was not seen.
 */
export async function listWindows(
  deps: ReportDeps,
  request: ListWindowsRequest,
  call: { readonly workspace: string; readonly signal: AbortSignal },
): Promise<MessageInitShape<typeof ListWindowsResponseSchema>> {
  const { parent, modelVersion, pageToken } = request;
  const faults = new RequestFaults();
  checkVersion(modelVersion, "model_version", faults);
  const range = askedRange(request.range, "range", faults);
  faults.done();
  const size = pageSizeOf(request.pageSize);
  const key = [`${range.startUs ?? ""}`, `${range.endUs ?? ""}`];
  const query = ["ListWindows", parent, modelVersion, ...key];
  const after = placeIn(decodePageToken(query, pageToken));
  const known = await deps.windows.targets(call.workspace, parent);
  const targets =
    modelVersion === ""
      ? known
      : sameVersion(
          known,
          chooseTarget(known, {
            deployment: parent,
            version: modelVersion,
            field: "model_version",
          }),
        );
  const listed = await listAll(deps, targets, { range, after, size, signal: call.signal });
  const page = listed.slice(0, size);
  const last = page.at(-1);
  const isEnd = listed.length <= size || last === undefined;
  return {
    windows: await withLabels(deps, page),
    nextPageToken: isEnd ? "" : encodePageToken(query, placeOf(last)),
  };
}

/** Of a deployment that was made anew, the targets of both. */
function sameVersion(targets: readonly Target[], chosen: Target): readonly Target[] {
  return targets.filter(({ modelVersion }) => modelVersion === chosen.modelVersion);
}

/** In order, from after the place on; at least one more than the size where there are as many. */
async function listAll(
  deps: ReportDeps,
  targets: readonly Target[],
  query: {
    readonly range: AskedRange;
    readonly after: Place | undefined;
    readonly size: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly Listed[]> {
  const { range, after, size, signal } = query;
  const endUs = Math.min(range.endUs ?? Infinity, after === undefined ? Infinity : after[0] + 1);
  const within = { ...range, ...(endUs === Infinity ? {} : { endUs }) };
  const listed: Listed[] = [];
  for (const target of targets) {
    signal.throwIfAborted();
    const limit = size + 1 + (after === undefined ? 0 : SAME_START_MAX);
    for (const window of await deps.windows.list(target._id, within, { limit })) {
      listed.push({ target, window });
    }
  }
  const sorted = listed.toSorted((a, b) => compare(placeOf(a), placeOf(b)));
  return after === undefined ? sorted : sorted.filter((item) => compare(placeOf(item), after) > 0);
}

async function withLabels(deps: ReportDeps, page: readonly Listed[]) {
  const labels = new Map<Listed, number>();
  for (const id of new Set(page.map(({ target }) => target._id))) {
    const windows = page.filter(({ target }) => target._id === id);
    const counts = await deps.predictions?.labelCounts(
      id,
      windows.map(({ window }) => window),
    );
    windows.forEach((item, i) => {
      labels.set(item, counts?.[i] ?? 0);
    });
  }
  return page.map((item) => windowMessage(item.target, item.window, labels.get(item) ?? 0));
}

function placeOf({ target, window }: Listed): Place {
  return [window.startUs, target._id, window.layoutId, window.level];
}

function placeIn(cursor: ReturnType<typeof decodePageToken>): Place | undefined {
  if (cursor === undefined) {
    return undefined;
  }
  const [startUs, target, layout, level] = cursor;
  return [Number(startUs), String(target), String(layout), String(level)];
}

/** Newest first, then by target, layout and level. */
function compare(a: Place, b: Place): number {
  if (a[0] !== b[0]) {
    return b[0] - a[0];
  }
  for (const i of [1, 2, 3] as const) {
    if (a[i] !== b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}
