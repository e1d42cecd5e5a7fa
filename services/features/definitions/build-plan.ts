// Puts a read plan together from the views that it takes: which columns the caller gives, which
// entity keys they make, which view is read by which key, and where the inputs of expressions come
// from. Says everything that does not fit together.

import type { Field } from "../value.ts";
import { defaultCell } from "./default-value.ts";
import { isReadableAs, type OnDemandFeatureView, type ViewVersion } from "./definitions.ts";
import type { KeyPlan, Output, ReadPlan, Transform, ViewRead } from "./read-plan.ts";

/** Features of one view, as they are to be read. */
export type PlanSource =
  | {
      readonly kind: "view";
      readonly source: ViewVersion;
      /** Feature to output name, in order. */
      readonly features: readonly (readonly [feature: string, output: string])[];
      /** Join key to request column, those that differ. */
      readonly joinKeys: readonly (readonly [joinKey: string, column: string])[];
    }
  | {
      readonly kind: "on-demand";
      readonly view: string;
      readonly version: OnDemandFeatureView;
      readonly features: readonly (readonly [feature: string, output: string])[];
    };

/** What does not fit, and which of the sources is at fault. */
export interface PlanFault {
  readonly source: number;
  readonly description: string;
}

/** What the plan is of. */
export interface PlanOptions {
  readonly workspace: string;
  readonly featureService?: string;
  readonly loggingSampleRate?: number;
}

/** Outputs of one plan: the columns of a training set, the answer of an online read. */
const OUTPUTS_MAX = 2000;

/** The plan, and what is wrong with it; it is to be used only when nothing is. */
export function buildPlan(
  options: PlanOptions,
  sources: readonly PlanSource[],
): { readonly plan: ReadPlan; readonly faults: readonly PlanFault[] } {
  const draft = new Draft(sources);
  for (const [index, source] of sources.entries()) {
    if (source.kind === "view") {
      draft.readView(index, source);
    }
  }
  const keyColumns = draft.columns.length;
  for (const [index, source] of sources.entries()) {
    if (source.kind === "view") {
      draft.outputsOfView(index, source);
    } else {
      draft.outputsOfTransform(index, source);
    }
  }
  draft.checkNames();
  return {
    plan: {
      workspace: options.workspace,
      featureService: options.featureService,
      loggingSampleRate: options.loggingSampleRate ?? 0,
      requestColumns: draft.columns,
      keyColumns,
      keys: draft.keys,
      views: draft.views,
      transforms: draft.transforms,
      outputs: draft.outputs,
    },
    faults: draft.faults,
  };
}

type ViewSource = Extract<PlanSource, { readonly kind: "view" }>;
type TransformSource = Extract<PlanSource, { readonly kind: "on-demand" }>;

/** An output with the name it has in its view, by which expressions may call it too. */
interface Named extends Output {
  readonly feature: string;
  readonly source: number;
}

/** A plan in the making. */
class Draft {
  readonly columns: Field[] = [];
  readonly keys: KeyPlan[] = [];
  readonly views: ViewRead[] = [];
  readonly transforms: Transform[] = [];
  readonly outputs: Output[] = [];
  readonly faults: PlanFault[] = [];
  readonly #sources: readonly PlanSource[];
  readonly #columnOf = new Map<string, number>();
  readonly #keyOf = new Map<string, number>();
  readonly #readOf = new Map<string, number>();
  readonly #readBySource = new Map<number, number>();
  readonly #transformOf = new Map<string, number>();
  readonly #named: Named[] = [];

  constructor(sources: readonly PlanSource[]) {
    this.#sources = sources;
  }

  /** Finds the key by which the view is read, and the columns that it is made of. */
  readView(index: number, { source, joinKeys }: ViewSource): void {
    const renamed = new Map(joinKeys);
    const parts = source.version.joinKeys.map(({ name, type }) => {
      const column = renamed.get(name) ?? name;
      return { joinKey: name, column: this.#keyColumn(index, { name: column, type }) };
    });
    const key = indexIn(this.#keyOf, JSON.stringify(parts), () => this.keys.push({ parts }) - 1);
    const readId = JSON.stringify([source.uid, source.version.number, key]);
    const read = indexIn(this.#readOf, readId, () => this.views.push({ source, key }) - 1);
    this.#readBySource.set(index, read);
  }

  outputsOfView(index: number, { source, features }: ViewSource): void {
    const { version, view } = source;
    const read = this.#readBySource.get(index) ?? 0;
    this.#outputs(index, { view, version, features }, (feature, found) => ({
      defaultValue: defaultCell(found),
      from: { kind: "view", read, feature },
    }));
  }

  outputsOfTransform(index: number, source: TransformSource): void {
    const { version, view, features } = source;
    const transform = indexIn(
      this.#transformOf,
      JSON.stringify([view, version.number]),
      () =>
        this.transforms.push({
          view,
          version,
          inputs: version.inputs.map((input) => this.#input(index, source, input)),
        }) - 1,
    );
    this.#outputs(index, { view, version, features }, (feature) => ({
      defaultValue: null,
      from: { kind: "transform", transform, feature },
    }));
  }

  /** Names of outputs and of columns, all together: they become columns of one file. */
  checkNames(): void {
    if (this.outputs.length > OUTPUTS_MAX) {
      const description = `${this.outputs.length} features in all; at most ${OUTPUTS_MAX}`;
      this.faults.push({ source: this.#sources.length - 1, description });
    }
    const columns = new Map(this.columns.map(({ name }) => [name.toLowerCase(), name]));
    const seen = new Map<string, Named>();
    for (const output of this.#named) {
      const folded = output.name.toLowerCase();
      const other = seen.get(folded);
      const column = columns.get(folded);
      if (other?.view === output.view && other.feature === output.feature) {
        this.#fault(output.source, `takes "${output.name}" of ${output.view} a second time`);
      } else if (other !== undefined) {
        this.#fault(
          output.source,
          `gives "${output.name}" of ${output.view}, and ${other.view} gives ` +
            `"${other.name}": give one of them another name`,
        );
      } else if (column !== undefined) {
        this.#fault(
          output.source,
          `gives "${output.name}", and "${column}" is a column that the caller gives: give the ` +
            "feature another name",
        );
      }
      seen.set(folded, output);
    }
    if (columns.size < this.columns.length) {
      const names = this.columns.map(({ name }) => name).join(", ");
      this.#fault(0, `takes columns whose names differ in letter case alone: ${names}`);
    }
  }

  /** Adds what a projection takes of a view; `rest` says what is particular to the kind. */
  #outputs<F extends Field>(
    index: number,
    of: {
      readonly view: string;
      readonly version: { readonly number: number; readonly features: readonly F[] };
      readonly features: PlanSource["features"];
    },
    rest: (feature: number, found: F) => Pick<Output, "defaultValue" | "from">,
  ): void {
    const { view, version, features } = of;
    for (const [name, output] of features) {
      const feature = version.features.findIndex((one) => one.name === name);
      const found = version.features[feature];
      if (found !== undefined) {
        this.#output(index, {
          feature: name,
          name: output,
          type: found.type,
          view,
          viewVersion: version.number,
          ...rest(feature, found),
        });
      }
    }
  }

  #keyColumn(source: number, field: Field): number {
    const index = this.#columnOf.get(field.name);
    const known = index === undefined ? undefined : this.columns[index];
    if (index === undefined || known === undefined) {
      return this.#addColumn(field);
    }
    if (known.type !== field.type) {
      this.#fault(
        source,
        `takes "${field.name}" as ${field.type}, and another projection as ${known.type}: name ` +
          "another column in join_keys",
      );
    }
    return index;
  }

  #addColumn(field: Field): number {
    const index = this.columns.push({ name: field.name, type: field.type }) - 1;
    this.#columnOf.set(field.name, index);
    return index;
  }

  #input(index: number, source: TransformSource, input: Field): Transform["inputs"][number] {
    const output = this.#outputNamed(index, source, input.name);
    if (output !== undefined) {
      const { type } = this.#named[output] ?? input;
      if (!isReadableAs(type, input.type)) {
        this.#fault(
          index,
          `takes "${input.name}" as ${input.type}, and it is ${type}: change the input's type`,
        );
      }
      return { from: "output", index: output };
    }
    const later = this.#sources
      .slice(index + 1)
      .some(({ features }) => features.some(([, name]) => name === input.name));
    if (later) {
      this.#fault(
        index,
        `takes "${input.name}", which comes later: put ${source.view} after what it takes`,
      );
    }
    return { from: "request", index: this.#dataColumn(index, input) };
  }

  /** By its name in the output, else by its own name where only one has it. */
  #outputNamed(index: number, source: TransformSource, name: string): number | undefined {
    const byOutput = this.#named.findIndex((output) => output.name === name);
    if (byOutput >= 0) {
      return byOutput;
    }
    const own = this.#named.flatMap((output, at) =>
      output.feature === name && output.name === `${output.view}__${name}` ? [at] : [],
    );
    if (own.length > 1) {
      const views = own.map((at) => this.#named[at]?.view).join(" and ");
      this.#fault(index, `takes "${name}", which ${views} give: ask ${source.view} with one only`);
    }
    return own[0];
  }

  #dataColumn(source: number, input: Field): number {
    const index = this.#columnOf.get(input.name);
    const known = index === undefined ? undefined : this.columns[index];
    if (index === undefined || known === undefined) {
      return this.#addColumn(input);
    }
    const isKey = this.keys.some(({ parts }) => parts.some(({ column }) => column === index));
    if (!isKey && isReadableAs(input.type, known.type)) {
      this.columns[index] = { name: input.name, type: input.type };
    } else if (!isReadableAs(known.type, input.type)) {
      this.#fault(source, `takes "${input.name}" as ${input.type}, and it is ${known.type} before`);
    }
    return index;
  }

  #output(source: number, output: Omit<Named, "source">): void {
    const { feature, ...rest } = output;
    this.outputs.push(rest);
    this.#named.push({ ...rest, feature, source });
  }

  #fault(source: number, description: string): void {
    this.faults.push({ source, description });
  }
}

function indexIn(known: Map<string, number>, id: string, add: () => number): number {
  const index = known.get(id) ?? add();
  known.set(id, index);
  return index;
}
