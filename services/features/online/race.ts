// For tests: batches of rows that writers race with, the same for a seed in every process, and what
// must be stored when all have ended.

import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import type { RowBatch } from "../value.ts";
import { testRows, testView } from "./testing.ts";

export const RACE_WORKSPACE = "race";

/** Few keys, views and times, so that everything collides. */
const USERS = 5;
const TIMES = 40;
const CREATION_TIMES = 3;
const ROWS = 8;

const VIEWS = ["left", "right"].map((view) => {
  return testView({ view, joinKeys: { user: "STRING" }, features: { score: "INT64" } });
});

export interface RacingBatch {
  readonly view: ViewVersion;
  readonly rows: RowBatch;
}

/** The batch of a seed. Rows equal in time have one score, as a row that was sent twice has. */
export function racingBatch(seed: number): RacingBatch {
  const random = new SeededRandom(seed);
  const draw = (bound: number) => Array.from({ length: ROWS }, () => random.below(bound));
  const [users, eventUs, createdUs] = [draw(USERS), draw(TIMES), draw(CREATION_TIMES)];
  const user = users.map((number) => `u${number}`);
  const score = eventUs.map((time, row) => scoreOf(time, createdUs[row]!));
  const view = VIEWS[seed % VIEWS.length]!;
  return { view, rows: testRows({ user }, { score }, eventUs, createdUs) };
}

/** "view-uid user" to the score of the newest row. */
export function raceWinners(batches: readonly RacingBatch[]): Record<string, number> {
  const winners: Record<string, number> = {};
  for (const { view, rows } of batches) {
    for (let row = 0; row < rows.rows; row++) {
      const at = `${view.uid} ${rows.keys.user![row]}`;
      const score = scoreOf(rows.eventUs[row]!, rows.createdUs[row]!);
      winners[at] = Math.max(winners[at] ?? 0, score);
    }
  }
  return winners;
}

/** Orders rows as their times do. */
function scoreOf(eventUs: number, createdUs: number): number {
  return eventUs * 10 + createdUs;
}
