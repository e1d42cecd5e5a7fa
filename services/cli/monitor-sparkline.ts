// Two distributions side by side in a line of text: the baseline's bins and the current ones, on
// one scale, so that their shapes can be compared at a glance.

import type { ColumnBins } from "../../gen/plinth/monitoring/v1/report_pb.js";

/** Characters of one side. */
const SPARK_WIDTH = 12;

/** A bin without a row is a blank, one with a few is never one. */
const LEVELS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const EMPTY = " ";

/** The bins as shares of their side; zeros where a side is empty. */
export function sharesOf(counts: readonly number[]): readonly number[] {
  const sum = counts.reduce((total, count) => total + count, 0);
  return counts.map((count) => (sum === 0 ? 0 : count / sum));
}

/** "▁▃▇█▃▁ | ▁▁▃▅█▇", or "" without bins. More bins than characters share them. */
export function sparkline(bins: ColumnBins | undefined, width = SPARK_WIDTH): string {
  if (bins === undefined || bins.reference.length === 0) {
    return "";
  }
  const sides = [bins.reference, bins.current].map((counts) => fitted(sharesOf(counts), width));
  const most = Math.max(...sides.flat());
  return sides.map((shares) => shares.map((share) => level(share, most)).join("")).join(" | ");
}

/** At most `width` shares: a bin that two of them meet in is divided between them. */
function fitted(shares: readonly number[], width: number): readonly number[] {
  if (shares.length <= width) {
    return shares;
  }
  const step = shares.length / width;
  return Array.from({ length: width }, (_, index) => {
    const [from, to] = [index * step, (index + 1) * step];
    return shares.slice(Math.floor(from), Math.ceil(to)).reduce((sum, share, offset) => {
      const start = Math.floor(from) + offset;
      return sum + share * Math.max(0, Math.min(to, start + 1) - Math.max(from, start));
    }, 0);
  });
}

function level(share: number, most: number): string {
  if (share <= 0 || most <= 0) {
    return EMPTY;
  }
  const at = Math.ceil((share / most) * LEVELS.length) - 1;
  return LEVELS[Math.min(LEVELS.length - 1, Math.max(0, at))] ?? EMPTY;
}
