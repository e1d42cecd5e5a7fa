// Which column of a file holds which field of a view.

import { CREATED_TIMESTAMP, type Field } from "../../value.ts";
import type { EngineTasks } from "../engine-tasks.ts";
import { type CellRole, missingColumns, typeFault } from "./cell-fault.ts";
import { type CellReader, cellReader, noCells } from "./cell-reader.ts";
import { tableFault } from "./faults.ts";
import type { SourceColumn, TableSource } from "./table-source.ts";
import { CREATED_US, EVENT_US } from "./view-relation.ts";

const MISSING_ADVICE = "Rename the column, or map it in the view's source.";

/** A field of the view as the file has it. */
export interface BoundField {
  /** Its name in a view relation; the times have the names EVENT_US and CREATED_US. */
  readonly target: string;
  readonly field: Field;
  readonly role: CellRole;
  /** Undefined: the file does not have it. */
  readonly column: SourceColumn | undefined;
  readonly reader: CellReader;
}

type Input = EngineTasks["ingest-table"]["input"];

/**
 * Binds the fields of a view to columns: join keys, the two times, features.
 * @throws InvalidArgument that names every column that is missing, there twice, or of a type without
 *   values of the field's type.
 */
export function bindColumns(source: TableSource, input: Input): readonly BoundField[] {
  const binder = new Binder(source, input.fieldMapping);
  const { shape, eventTimestampColumn, createdTimestampColumn } = input;
  const bound = [
    ...shape.joinKeys.map((field) => binder.key(field)),
    binder.eventTime(eventTimestampColumn),
    binder.createdTime(createdTimestampColumn),
    ...shape.features.map((field) => binder.feature(field)),
  ];
  binder.check();
  return bound;
}

class Binder {
  readonly #faults: string[] = [];
  readonly #missing: { readonly column: string; readonly role: string }[] = [];
  readonly #source: TableSource;
  readonly #names: readonly string[];
  readonly #columnOf: ReadonlyMap<string, string>;
  readonly #mapped: ReadonlySet<string>;

  constructor(source: TableSource, mapping: readonly (readonly [string, string])[]) {
    this.#source = source;
    this.#names = source.columns.map(({ name }) => name);
    this.#columnOf = new Map(mapping.map(([column, field]) => [field, column]));
    this.#mapped = new Set(mapping.map(([column]) => column));
  }

  key(field: Field): BoundField {
    const column = this.#nameFor(field);
    this.#require(column, "join key");
    return this.#bind(field.name, field, { role: "key", column });
  }

  eventTime(column: string): BoundField {
    this.#require(column, "event time");
    return this.#bind(EVENT_US, { name: column, type: "TIMESTAMP" }, { role: "event", column });
  }

  createdTime(named: string): BoundField {
    const column = named === "" ? CREATED_TIMESTAMP : named;
    if (named !== "") {
      this.#require(column, "creation time");
    }
    return this.#bind(CREATED_US, { name: column, type: "TIMESTAMP" }, { role: "created", column });
  }

  feature(field: Field): BoundField {
    return this.#bind(field.name, field, { role: "feature", column: this.#nameFor(field) });
  }

  check(): void {
    const missing =
      this.#missing.length > 0 ? [missingColumns(this.#missing, this.#names, MISSING_ADVICE)] : [];
    const faults = [...missing, ...this.#faults];
    if (faults.length > 0) {
      throw tableFault(faults.join(" "));
    }
  }

  /** The mapped column where the file has it, else the one of the field's name, unless that is
   * mapped to another field. */
  #nameFor(field: Field): string {
    const mapped = this.#columnOf.get(field.name);
    if (mapped !== undefined && this.#names.includes(mapped)) {
      return mapped;
    }
    return this.#mapped.has(field.name) ? (mapped ?? "") : field.name;
  }

  #require(column: string, role: string): void {
    if (!this.#names.includes(column)) {
      this.#missing.push({ column, role });
    }
  }

  #bind(
    target: string,
    field: Field,
    wanted: { readonly role: CellRole; readonly column: string },
  ): BoundField {
    const { role } = wanted;
    const found = this.#source.columns.filter(({ name }) => name === wanted.column);
    const [column] = found;
    if (column === undefined) {
      return { target, field, role, column, reader: noCells(field) };
    }
    if (found.length > 1) {
      this.#faults.push(`The file has ${found.length} columns "${column.name}"; expected one.`);
    }
    const { format } = this.#source;
    const reader = cellReader({ format, ...column }, field, { key: role === "key" });
    if (reader === undefined) {
      this.#faults.push(typeFault(column, field));
    }
    return { target, field, role, column, reader: reader ?? noCells(field) };
  }
}
