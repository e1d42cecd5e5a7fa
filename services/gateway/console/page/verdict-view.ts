// The verdict on a proof and what was compared, for people.

import type { VerifyingFile } from "../../../proofs/circuits/verifying-file.ts";
import { byId, type Element, element, given } from "./browser.ts";
import type { CheckedProof, Comparison } from "./check-proof.ts";
import { EXPECTATIONS, type Expectation, type ReadExpected } from "./expected-values.ts";

type Tone = "none" | "good" | "warn" | "bad";

/** What is shown of a set-up, in a word and in a sentence. */
export const SETUPS: Readonly<Record<VerifyingFile["setup"], readonly [string, string]>> = {
  "dev-single-party": [
    "of a development set-up",
    "DEVELOPMENT SET-UP: one party made the key alone and can forge proofs.",
  ],
  ceremony: ["of a ceremony", "A ceremony: only all of its parties together could forge proofs."],
  universal: ["of a universal set-up", "Universal: only all parties of the powers of tau could."],
};

/** Says what is still to come before anything can be checked. */
export function showWaiting(has: { readonly proof: boolean; readonly key: boolean }): void {
  if (has.proof) {
    const text = "The proof is there; choose the verifying key of its circuit.";
    showVerdict("none", "Waiting for the key", [text]);
  } else if (has.key) {
    showVerdict("none", "Waiting for the proof", ["The verifying key is there; choose a proof."]);
  } else {
    const text = "Choose a proof and the verifying key of its circuit.";
    showVerdict("none", "Waiting for files", [text]);
  }
}

/** Says that the answer is on its way. */
export function showChecking(): void {
  showVerdict("none", "Checking …", []);
}

/** Says whether the proof is valid; where not, why. */
export function showChecked(checked: CheckedProof, { expected, faults }: ReadExpected): void {
  const { refusal, development } = checked;
  if (refusal !== undefined) {
    const reason = element("p", { class: "reason" }, given(refusal.message), " ");
    reason.append(element("code", {}, refusal.reason));
    showVerdict("bad", "Not valid", [reason]);
    return;
  }
  if (Object.keys(faults).length > 0) {
    const text = "The proof holds, but something that you expect of it cannot be read: see below.";
    showVerdict("warn", "Not compared", [text]);
    return;
  }
  const holds =
    "The proof holds under this verifying key: the model of this key gives this output.";
  const compared = comparedText(Object.keys(expected).length);
  if (development) {
    showVerdict("warn", "Valid, for development only", [
      holds,
      "Whoever made the key can forge proofs: it convinces nobody who does not trust them.",
      compared,
    ]);
  } else {
    showVerdict("good", "Valid", [holds, compared]);
  }
}

/** Shows of each value what was found and whether it is what was expected. */
export function showComparisons(
  faults: ReadExpected["faults"],
  comparisons?: CheckedProof["comparisons"],
): void {
  for (const name of EXPECTATIONS) {
    showComparison(name, faults[name], comparisons?.[name]);
  }
}

function comparedText(count: number): string {
  return count === 0
    ? "Nothing was compared yet. Whoever chose the key file chose what a proof under it means: " +
        "enter below what the model's owner publishes."
    : `${count} of ${EXPECTATIONS.length} values were compared, and are as expected.`;
}

function showVerdict(tone: Tone, title: string, notes: readonly (string | Element)[]): void {
  const verdict = byId("verdict");
  verdict.className = `verdict ${tone}`;
  verdict.replaceChildren(
    element("h2", {}, title),
    ...notes.map((note) => (typeof note === "string" ? element("p", {}, note) : note)),
  );
}

function showComparison(
  name: Expectation,
  fault: string | undefined,
  comparison: Comparison | undefined,
): void {
  const input = byId(`expect-${name}`);
  if (fault !== undefined || comparison?.same === false) {
    input.setAttribute("aria-invalid", "true");
  } else {
    input.removeAttribute("aria-invalid");
  }
  byId(`found-${name}`).replaceChildren(
    ...(fault === undefined ? [] : [tag("bad", fault), " "]),
    ...(comparison === undefined ? [] : foundParts(comparison)),
  );
}

function foundParts({ found, same }: Comparison): readonly (string | Element)[] {
  const value = found === undefined ? "none" : element("code", {}, found);
  switch (same) {
    case undefined:
      return ["Found ", value];
    case true:
      return [tag("good", "as expected")];
    case false:
      return [tag("bad", "differs"), " Found ", value];
  }
}

function tag(tone: "good" | "bad", text: string): Element {
  return element("span", { class: `tag ${tone}` }, text);
}
