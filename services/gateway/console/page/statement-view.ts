// What a proof proves, for people: the output and the inputs by name, and what the file says beside
// that, which nothing proves.

import type { VerifyingFile } from "../../../proofs/circuits/verifying-file.ts";
import type { ProofFile } from "../../../proofs/proving/proof-file.ts";
import type {
  DecodedInput,
  DecodedInputs,
  DecodedOutput,
} from "../../../proofs/verifier/decode-signals.ts";
import { type Element, element, given } from "./browser.ts";
import type { CheckedProof } from "./check-proof.ts";

/** Values that are shown of a list before somebody asks for all. */
const VALUES_SHOWN = 100;

type Facts = readonly (readonly [string, string | Element])[];

/** What is proved: its output and its inputs. */
export function provedView(
  { inputs, output }: NonNullable<CheckedProof["proved"]>,
  { schema }: VerifyingFile,
): readonly Element[] {
  return [...outputView(output, schema), ...inputsView(inputs)];
}

/** What the proof's file says of itself. */
export function saidView(proof: ProofFile, id: string): Element {
  return facts([
    ["Proof", code(id)],
    ["Model version", given(proof.modelVersion)],
    ["Circuit", given(proof.circuit)],
    ["Inference", proof.inferenceId === "" ? "none" : given(proof.inferenceId)],
    ["Row", String(proof.row + 1)],
    ["Made", proof.createTime ?? "not said"],
  ]);
}

function outputView(output: DecodedOutput, schema: VerifyingFile["schema"]): readonly Element[] {
  const heading = element("h3", {}, "Output ", given(output.name));
  switch (output.mode) {
    case "argmax":
      return [heading, headline(className(output), "the class with the greatest score")];
    case "threshold": {
      const text = output.reached ? "Reached" : "Not reached";
      return [heading, headline(text, `whether the output is at least ${output.threshold}`)];
    }
    case "values":
    case "packed": {
      const { predicted } = output;
      return [
        heading,
        ...(predicted === undefined
          ? []
          : [headline(className(predicted), "the class with the greatest value")]),
        valuesTable(output, schema),
        element("p", { class: "soft" }, provedNote(schema)),
      ];
    }
  }
}

type Values = Extract<DecodedOutput, { readonly mode: "values" | "packed" }>;

function valuesTable(output: Values, schema: VerifyingFile["schema"]): Element {
  const { classLabels, after } = schema.output;
  const isLabelled = classLabels.length === output.values.length;
  const titles = [
    isLabelled ? "Class" : "Value",
    "Decoded",
    "Whole number, proved",
    ...(output.after === undefined ? [] : [`After ${after}, not proved`]),
  ];
  const row = (index: number): Element =>
    element(
      "tr",
      output.predicted?.index === index ? { class: "predicted" } : {},
      element("th", { scope: "row" }, isLabelled ? given(classLabels[index]!) : String(index)),
      number(output.values[index]!),
      number(output.integers[index]!),
      ...(output.after === undefined ? [] : [number(output.after[index]!)]),
    );
  const head = titles.map((title, i) =>
    element("th", { scope: "col", ...(i === 0 ? {} : { class: "n" }) }, title),
  );
  const body = element("tbody");
  const table = element(
    "table",
    {},
    element("caption", { class: "unseen" }, `Values of the output ${output.name}`),
    element("thead", {}, element("tr", {}, ...head)),
    body,
  );
  // A wide table is scrolled; with the keyboard too.
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "group" }, table);
  scroll.setAttribute("aria-label", `Values of the output ${output.name}`);
  return element("div", {}, scroll, ...shownUpTo(body, output.values.length, row));
}

function provedNote({ output }: VerifyingFile["schema"]): string {
  const proved = `Proved are the whole numbers; each decoded value is one of them / 2^${output.scaleBits}.`;
  return output.after === "nothing"
    ? proved
    : `${proved} The last step of the model, ${output.after}, is computed by this page, in floats.`;
}

function inputsView(inputs: DecodedInputs): readonly Element[] {
  switch (inputs.mode) {
    case "public":
      return inputs.tensors.flatMap(inputView);
    case "committed":
      return [
        element("h3", {}, "Inputs"),
        element(
          "p",
          {},
          "Not shown. They are those of this commitment, which whoever has them and the salt can " +
            "open with “plinth proof verify --row --salt”:",
        ),
        element("p", {}, code(String(inputs.commitment))),
      ];
    case "private":
      return [
        element("h3", {}, "Inputs"),
        element(
          "p",
          {},
          "Not shown: some inputs give this output, and that is all that is proved.",
        ),
      ];
  }
}

function inputView({ name, shape, values }: DecodedInput): readonly Element[] {
  const list = element("ol", { class: "values", start: "0" });
  const item = (index: number): Element =>
    element(
      "li",
      {},
      element("span", { class: "index" }, String(index)),
      element("span", { class: "value" }, String(values[index])),
    );
  return [
    element("h3", {}, "Input ", given(name), element("small", {}, ` [${shape.join(", ")}]`)),
    list,
    ...shownUpTo(list, values.length, item),
  ];
}

/** Adds the first items to the parent; gives a button that adds the rest, where there is one. */
function shownUpTo(
  parent: Element,
  count: number,
  itemOf: (index: number) => Element,
): readonly Element[] {
  const all = Array.from({ length: count }, (_, index) => index);
  parent.append(...all.slice(0, VALUES_SHOWN).map(itemOf));
  if (count <= VALUES_SHOWN) return [];
  const button = element("button", { type: "button" }, `Show all ${count} values`);
  button.addEventListener("click", () => {
    parent.append(...all.slice(VALUES_SHOWN).map(itemOf));
    button.hidden = true;
  });
  return [button];
}

function className({ index, label }: { readonly index: number; readonly label?: string }): string {
  return label === undefined ? `Class ${index}` : `${label} (class ${index})`;
}

function headline(text: string, what: string): Element {
  return element("p", { class: "headline" }, given(text), element("small", {}, what));
}

function facts(entries: Facts): Element {
  const list = element("dl");
  for (const [name, value] of entries) {
    list.append(element("dt", {}, name), element("dd", {}, value));
  }
  return list;
}

function number(value: number | bigint): Element {
  return element("td", { class: "n" }, String(value));
}

function code(text: string): Element {
  return element("code", {}, text);
}
