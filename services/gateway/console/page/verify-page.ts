// The script of the page that checks a proof: takes files, as they are chosen or dropped, and what
// is expected, as it is typed, and shows the verdict whenever one of them changes. It sends nothing;
// only the form "from this server" asks, on the page that has it.

import type { VerifyingFile } from "../../../proofs/circuits/verifying-file.ts";
import type { ProofFile } from "../../../proofs/proving/proof-file.ts";
import { browser, byId, element, given, type Input, type PageFile } from "./browser.ts";
import { type CheckedProof, checkProof } from "./check-proof.ts";
import { EXPECTATIONS, type ReadExpected, readExpected, type Typed } from "./expected-values.ts";
import { FetchFailure, fetchKey, fetchProof } from "./fetch-proof.ts";
import { type GivenFile, misplaced, readGiven, sizeFault, type Wanted } from "./given-file.ts";
import { provedView, saidView } from "./statement-view.ts";
import { SETUPS, showChecked, showChecking, showComparisons, showWaiting } from "./verdict-view.ts";

/** After the last key stroke. */
const TYPING_MS = 150;

/** What is there to be checked. */
let proof: ProofFile | undefined;
let key: VerifyingFile | undefined;
/** A check that is about to begin; there is one at most. */
let timer: number | undefined;

/** A file goes where it was given; dropped, `wanted` is absent and its content tells where. */
async function take(file: PageFile, wanted?: Wanted): Promise<void> {
  const fault = sizeFault(file.size);
  if (fault !== undefined) {
    place(file.name, { kind: "refused", message: fault }, wanted);
    return;
  }
  const bytes = await file.arrayBuffer().catch(() => undefined);
  const unreadable = "The browser could not read it. Was it moved or changed? Choose it again.";
  place(
    file.name,
    bytes === undefined
      ? { kind: "refused", message: unreadable }
      : readGiven(new Uint8Array(bytes)),
    wanted,
  );
}

/** Keeps what was read in its place, where it is of use, and says there what it is. */
function place(name: string, read: GivenFile, wanted?: Wanted): void {
  const kind = read.kind === "refused" ? read.looksLike : read.kind;
  const to = wanted ?? kind ?? (proof === undefined ? "proof" : "key");
  if (to === "proof") {
    proof = read.kind === "proof" ? read.proof : undefined;
  } else {
    key = read.kind === "key" ? read.key : undefined;
  }
  const isOther = kind !== undefined && kind !== to;
  const fault = isOther ? misplaced(kind, to) : read.kind === "refused" ? read.message : undefined;
  const note = byId(`${to}-note`);
  note.className = fault === undefined ? "note taken" : "note fault";
  note.replaceChildren(element("strong", {}, given(name)), ` ${fault ?? describe(read)}`);
  check();
}

function clear(from: Wanted): void {
  if (from === "proof") {
    proof = undefined;
  } else {
    key = undefined;
  }
  byId(`${from}-note`).replaceChildren();
  check();
}

function describe(read: GivenFile): string {
  switch (read.kind) {
    case "proof":
      return `Proof of row ${read.proof.row + 1}, ${read.proof.publicValues.length} public values.`;
    case "key":
      return `Verifying key ${SETUPS[read.key.setup][0]}.`;
    case "refused":
      return read.message;
  }
}

/** Checks what is there, once the browser has drawn that it is being checked. */
function check(): void {
  browser.clearTimeout(timer);
  const typed = Object.fromEntries(
    EXPECTATIONS.map((name) => [name, byId<Input>(`expect-${name}`).value]),
  ) as Typed;
  const read = readExpected(typed);
  byId("setup").replaceChildren(key === undefined ? "" : SETUPS[key.setup][1]);
  if (proof === undefined || key === undefined) {
    showWaiting({ proof: proof !== undefined, key: key !== undefined });
    showComparisons(read.faults);
    byId("proved").hidden = true;
    byId("said").hidden = true;
    return;
  }
  const files = { proof, key };
  showChecking();
  timer = browser.setTimeout(() => show(files, checkProof(files, read.expected), read), 0);
}

function show(
  files: { readonly proof: ProofFile; readonly key: VerifyingFile },
  checked: CheckedProof,
  read: ReadExpected,
): void {
  const { id, proved } = checked;
  showChecked(checked, read);
  showComparisons(read.faults, checked.comparisons);
  byId("proved").hidden = proved === undefined;
  byId("proved-body").replaceChildren(...(proved ? provedView(proved, files.key) : []));
  byId("said").hidden = false;
  byId("said-body").replaceChildren(saidView(files.proof, id));
}

async function takeAll(files: Iterable<PageFile>, wanted?: Wanted): Promise<void> {
  for (const file of files) await take(file, wanted);
}

function listenToFiles(): void {
  for (const wanted of ["proof", "key"] as const) {
    const input = byId<Input>(`${wanted}-file`);
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      // Browsers let a choice be taken back.
      if (files.length === 0) {
        clear(wanted);
      } else {
        void takeAll(files, wanted);
      }
    });
  }
  const { document } = browser;
  const drag = (isOver: boolean): void => {
    document.documentElement.className = isOver ? "dragging" : "";
  };
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drag(true);
  });
  document.addEventListener("dragleave", () => drag(false));
  // Wherever it is dropped, the browser must not open the file in the place of the page.
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drag(false);
    void takeAll([...(event.dataTransfer?.files ?? [])]);
  });
}

function listenToExpectations(): void {
  for (const name of EXPECTATIONS) {
    byId(`expect-${name}`).addEventListener("input", () => {
      browser.clearTimeout(timer);
      timer = browser.setTimeout(check, TYPING_MS);
    });
  }
}

function listenToServerForm(): void {
  const note = byId("server-note");
  const say = (text: string, isFault = false): void => {
    note.className = isFault ? "note fault" : "note";
    note.replaceChildren(given(text));
  };
  byId("server-form").addEventListener("submit", (event) => {
    event.preventDefault();
    say("Asking …");
    void fetchBoth().then(
      () => say("Compare the hashes below with what the model's owner publishes."),
      (error: unknown) => {
        if (!(error instanceof FetchFailure)) throw error;
        say(error.message, true);
      },
    );
  });
}

/** The proof that is named, then the key of its circuit. */
async function fetchBoth(): Promise<void> {
  const name = byId<Input>("server-name").value.trim();
  const apiKey = byId<Input>("server-key").value.trim();
  const full = /^[0-9a-f]{64}$/.test(name) ? `workspaces/default/proofs/${name}` : name;
  place("From this server:", readGiven(await fetchProof(full, apiKey)), "proof");
  if (proof !== undefined) {
    place("From this server:", readGiven(await fetchKey(proof.circuit, apiKey)), "key");
  }
}

listenToFiles();
listenToExpectations();
listenToServerForm();
check();
