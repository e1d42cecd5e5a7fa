import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { type Patience, type SeriesState, step, type WindowLook } from "./alert-state.ts";

const HOUR = 3_600_000_000;

/** Looks at windows of an hour, one after the other. */
function run(
  findings: readonly WindowLook["finding"][],
  patience: Partial<Patience> = {},
): (string | undefined)[] {
  let state: SeriesState | undefined;
  return findings.map((finding, i) => {
    const look = { startUs: i * HOUR, endUs: (i + 1) * HOUR, finding };
    const next = step(state, look, {
      forUs: 0,
      coolDownUs: 0,
      isRevisable: false,
      ...patience,
    });
    state = next.kind === "none" ? state : next.state;
    return state?.phase;
  });
}

const [W, R, U] = ["wrong", "right", "unknown"] as const;

describe("alert-state", () => {
  it("fires at once where nothing is to be waited for", () => {
    expect(run([R, W, W, R, W])).toEqual([undefined, "FIRING", "FIRING", "RESOLVED", "FIRING"]);
  });

  it("fires when the wrong windows in a row cover the time", () => {
    const forUs = 2 * HOUR + 1;
    expect(run([W, W, W, R], { forUs })).toEqual(["PENDING", "PENDING", "FIRING", "RESOLVED"]);
    expect(run([W, W, R, W, W], { forUs })).toEqual([
      "PENDING",
      "PENDING",
      "RESOLVED",
      "PENDING",
      "PENDING",
    ]);
    expect(run([W], { forUs: HOUR })).toEqual(["FIRING"]);
  });

  it("takes what is unknown for neither wrong nor right", () => {
    const forUs = 2 * HOUR;
    expect(run([U, W, U, U, W, U, R], { forUs })).toEqual([
      undefined,
      "PENDING",
      "PENDING",
      "PENDING",
      "FIRING",
      "FIRING",
      "RESOLVED",
    ]);
  });

  it("stays pending while it cools down, counted from the window at which it fired", () => {
    const coolDownUs = 4 * HOUR;
    expect(run([W, R, W, W, W, W], { coolDownUs })).toEqual([
      "FIRING",
      "RESOLVED",
      "PENDING",
      "PENDING",
      "FIRING",
      "FIRING",
    ]);
  });

  it("remembers its last firing through alerts that never fired", () => {
    const coolDownUs = 5 * HOUR;
    expect(run([W, R, W, R, W, W], { coolDownUs })).toEqual([
      "FIRING",
      "RESOLVED",
      "PENDING",
      "RESOLVED",
      "PENDING",
      "FIRING",
    ]);
  });

  it("covers no time twice where windows of another length overlap", () => {
    const patience = { forUs: 3 * HOUR, coolDownUs: 0, isRevisable: false };
    const first = step(undefined, { startUs: 0, endUs: 2 * HOUR, finding: W }, patience);
    const state = first.kind === "begin" ? first.state : undefined;
    const second = step(state, { startUs: 0, endUs: 2.5 * HOUR, finding: W }, patience);
    expect(second).toMatchObject({ state: { phase: "PENDING", wrongUs: 2.5 * HOUR } });
  });

  it("looks again at the newest window of a revisable series, and at no older one", () => {
    const patience = { forUs: 0, coolDownUs: 0, isRevisable: true };
    const at = (hour: number, finding: WindowLook["finding"]): WindowLook => ({
      startUs: (hour - 1) * HOUR,
      endUs: hour * HOUR,
      finding,
    });
    const firing: SeriesState = {
      phase: "FIRING",
      windowEndUs: 5 * HOUR,
      wrongUs: HOUR,
      firedEndUs: 5 * HOUR,
    };
    expect(step(firing, at(5, R), patience)).toMatchObject({ state: { phase: "RESOLVED" } });
    expect(step(firing, at(4, R), patience)).toEqual({ kind: "none" });
    expect(step(firing, at(5, W), patience)).toEqual({ kind: "go-on", state: firing });
    expect(step(firing, at(5, R), { ...patience, isRevisable: false })).toEqual({ kind: "none" });
  });

  it("does what the definition says, for random windows, repeats and stragglers", () => {
    for (let seed = 1; seed <= 2000; seed++) {
      const random = new SeededRandom(seed);
      const length = 1 + random.below(24);
      const findings = Array.from({ length }, () => random.pick([W, W, R, U] as const));
      const forHours = random.below(4);
      const coolHours = random.below(8);
      const patience = { forUs: forHours * HOUR, coolDownUs: coolHours * HOUR, isRevisable: false };
      let state: SeriesState | undefined;
      const look = (hour: number): void => {
        const finding = findings[hour]!;
        const seen = { startUs: hour * HOUR, endUs: (hour + 1) * HOUR, finding };
        const next = step(state, seen, patience);
        state = next.kind === "none" ? state : next.state;
      };
      const phases: (string | undefined)[] = [];
      for (let hour = 0; hour < length; hour++) {
        look(hour);
        const before = state;
        // The same window again, and any one before it that said something when it was looked at.
        for (let again = random.below(3); again > 0; again--) {
          const older = random.below(hour + 1);
          if (older * HOUR < (state?.windowEndUs ?? 0)) {
            look(older);
          }
        }
        expect(state, `seed ${seed}`).toEqual(before);
        phases.push(state?.phase);
      }
      expect(phases, `seed ${seed}`).toEqual(oracle(findings, forHours, coolHours));
    }
  });
});

/** The definition, read from the whole history at each hour. */
function oracle(
  findings: readonly WindowLook["finding"][],
  forHours: number,
  coolHours: number,
): (string | undefined)[] {
  const phases: (string | undefined)[] = [];
  let fired: number | undefined;
  findings.forEach((finding, hour) => {
    const known = findings.slice(0, hour + 1).filter((one) => one !== "unknown");
    const inRow = known.length - 1 - known.lastIndexOf("right");
    const last = phases.at(-1);
    if (finding === "unknown") {
      phases.push(last);
    } else if (finding === "right") {
      phases.push(last === undefined ? undefined : "RESOLVED");
    } else if (last === "FIRING") {
      phases.push("FIRING");
    } else {
      const isLong = inRow >= forHours;
      const isCool = fired === undefined || hour + 1 >= fired + coolHours;
      if (isLong && isCool) {
        fired = hour + 1;
      }
      phases.push(isLong && isCool ? "FIRING" : "PENDING");
    }
  });
  return phases;
}
