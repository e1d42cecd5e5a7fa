// How alerts move. A series is what one rule finds of one column of one target, window by window;
// the newest alert of a series is its state. Pure: a window in, the next state out.
//
//   (none), RESOLVED ──wrong──> PENDING ──wrong for long enough──> FIRING ──right──> RESOLVED
//                                  └──────────right: it never fired────────────────────┘
//
// A window of which nothing is known changes nothing. Windows come in order; one that was looked
// at before changes nothing either, unless the series is revisable (its metric comes from labels,
// which go on coming): then the newest window, and only that, may be looked at again.

export type Phase = "PENDING" | "FIRING" | "RESOLVED";

/** Times are event time in microseconds. */
export interface SeriesState {
  readonly phase: Phase;
  /** End of the newest window looked at. */
  readonly windowEndUs: number;
  /** How much time the wrong windows in a row cover. */
  readonly wrongUs: number;
  /** End of the window at which the series last fired, in this alert or one before it. */
  readonly firedEndUs: number | null;
}

export interface WindowLook {
  readonly startUs: number;
  readonly endUs: number;
  readonly finding: "wrong" | "right" | "unknown";
}

export interface Patience {
  /** Wrong windows in a row must cover this. 0: the first one fires. */
  readonly forUs: number;
  /** No firing earlier than this after the last one. */
  readonly coolDownUs: number;
  readonly isRevisable: boolean;
}

/** What a window makes of a series. */
export type Step =
  | { readonly kind: "none" }
  /** A new alert begins; it may fire at once. */
  | { readonly kind: "begin"; readonly state: SeriesState }
  /** The alert goes on, fires, or ends. */
  | { readonly kind: "go-on"; readonly state: SeriesState };

const NONE: Step = { kind: "none" };

/** The next step of a series whose newest alert is `state`, if it ever had one. */
export function step(state: SeriesState | undefined, look: WindowLook, patience: Patience): Step {
  const isSeen = state !== undefined && look.endUs <= state.windowEndUs;
  const isNewest = state !== undefined && look.endUs === state.windowEndUs;
  if (look.finding === "unknown" || (isSeen && !(isNewest && patience.isRevisable))) {
    return NONE;
  }
  const isActive = state !== undefined && state.phase !== "RESOLVED";
  if (look.finding === "right") {
    return isActive
      ? { kind: "go-on", state: { ...state, phase: "RESOLVED", windowEndUs: look.endUs } }
      : NONE;
  }
  if (!isActive) {
    const wrongUs = look.endUs - look.startUs;
    const firedEndUs = state?.firedEndUs ?? null;
    return { kind: "begin", state: wrong({ wrongUs, firedEndUs }, look, patience) };
  }
  // A window of another length may begin before the one before it ended.
  const added = Math.max(0, look.endUs - Math.max(look.startUs, state.windowEndUs));
  if (state.phase === "FIRING") {
    const wrongUs = state.wrongUs + added;
    return { kind: "go-on", state: { ...state, wrongUs, windowEndUs: look.endUs } };
  }
  const covered = { wrongUs: state.wrongUs + added, firedEndUs: state.firedEndUs };
  return { kind: "go-on", state: wrong(covered, look, patience) };
}

function wrong(
  covered: Pick<SeriesState, "wrongUs" | "firedEndUs">,
  look: WindowLook,
  patience: Patience,
): SeriesState {
  const { wrongUs, firedEndUs } = covered;
  const isCool = firedEndUs === null || look.endUs >= firedEndUs + patience.coolDownUs;
  return wrongUs >= patience.forUs && isCool
    ? { phase: "FIRING", windowEndUs: look.endUs, wrongUs, firedEndUs: look.endUs }
    : { phase: "PENDING", windowEndUs: look.endUs, wrongUs, firedEndUs };
}
