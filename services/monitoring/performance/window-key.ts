// Ids of what is kept of a window: they begin alike, in the order of time, so that the chunks of a
// window and the windows of a target are ranges of ids.

/** Makes starts before 1970 sort before later ones. */
const BIAS = 2n ** 53n;
const DIGITS = 17;
/** Sorts behind all that may follow a window's key. */
const END = "~";

/** A window of a target; windows of another length are others. */
export interface WindowSpan {
  readonly startUs: number;
  readonly endUs: number;
}

/** What the ids of all that is kept of a window begin with. */
export function windowKey(owner: string, { startUs, endUs }: WindowSpan): string {
  return `${owner}/${sortable(startUs)}-${endUs - startUs}`;
}

/** Ids of everything of one window. */
export function idsOfWindow(owner: string, window: WindowSpan) {
  const prefix = `${windowKey(owner, window)}/`;
  return { $gte: prefix, $lt: `${prefix}${END}` };
}

/** Ids of all windows of a target that begin within a range; either end may be absent. */
export function idsOfWindows(
  owner: string,
  range: { readonly fromUs?: number | undefined; readonly beforeUs?: number | undefined },
) {
  const { fromUs, beforeUs } = range;
  return {
    $gte: `${owner}/${fromUs === undefined ? "" : sortable(fromUs)}`,
    $lt: `${owner}/${beforeUs === undefined ? END : sortable(beforeUs)}`,
  };
}

/** Times beyond those that windows can have are held at the ends. */
function sortable(us: number): string {
  const held = Math.min(Math.max(us, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  return (BigInt(held) + BIAS).toString().padStart(DIGITS, "0");
}
