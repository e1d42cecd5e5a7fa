// The `filter` of List calls: terms joined by AND, each a field, an operator and a value. Evaluated
// on each resource as it is read, so that a filter may ask for anything a resource has.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import type { NamePattern } from "../common/names.ts";

type Operator = "=" | "!=" | ">" | ">=" | "<" | "<=" | ":";

/** How one field is compared. `read` is given the KEY of `tags.KEY`; undefined never matches. */
export type FilterField<T> =
  | { readonly kind: "text"; readonly read: (item: T, key: string) => string | undefined }
  | { readonly kind: "number"; readonly read: (item: T, key: string) => number | undefined }
  | { readonly kind: "boolean"; readonly read: (item: T, key: string) => boolean }
  | {
      readonly kind: "choice";
      readonly options: readonly string[];
      readonly read: (item: T, key: string) => string;
    }
  | {
      /** A resource's name, empty for none; a name also stands for what is below it. */
      readonly kind: "resource";
      readonly patterns: readonly Pick<NamePattern<string>, "pattern" | "match">[];
      readonly read: (item: T, key: string) => string;
    };

/** Fields by name; `tags.` stands for `tags.KEY`. */
export type FilterFields<T> = Readonly<Record<string, FilterField<T>>>;

export interface ParsedFilter<T> {
  readonly matches: (item: T) => boolean;
  /** The names of the fields that the text mentions. */
  readonly fields: ReadonlySet<string>;
}

const LENGTH_MAX = 2000;
const TERMS_MAX = 20;

const OPERATORS: Readonly<Record<FilterField<never>["kind"], readonly Operator[]>> = {
  text: ["=", "!=", ":"],
  number: ["=", "!=", ">", ">=", "<", "<="],
  boolean: ["=", "!="],
  choice: ["=", "!="],
  resource: ["=", "!="],
};

const QUOTED = /"(?:[^"\\]|\\["\\])*"/.source;
const TERM = new RegExp(
  `^\\s*([a-z_]+)(\\.(?:${QUOTED}|[^\\s"=!<>:]+))?\\s*(!=|>=|<=|=|>|<|:)\\s*(${QUOTED}|[^\\s"]+)`,
);
const AND = /^\s+AND(?=\s)/;

/** Reads a filter. @throws InvalidArgument that quotes the place and says what may stand there. */
export function parseFilter<T>(text: string, fields: FilterFields<T>): ParsedFilter<T> {
  const tests: ((item: T) => boolean)[] = [];
  const mentioned = new Set<string>();
  let rest = text.trim();
  if (rest.length > LENGTH_MAX) {
    throw bad(`has ${rest.length} characters; at most ${LENGTH_MAX}`);
  }
  while (rest !== "") {
    const match = TERM.exec(rest);
    if (match === null || tests.length === TERMS_MAX) {
      const why =
        match === null ? "is no term like: field = value" : `is the ${TERMS_MAX + 1}st term`;
      throw bad(`${JSON.stringify(rest.slice(0, 60))} ${why}`);
    }
    const [whole, name = "", key, operator, value = ""] = match;
    const field = fields[key === undefined ? name : `${name}.`];
    if (field === undefined || !Object.hasOwn(fields, key === undefined ? name : `${name}.`)) {
      throw bad(`${JSON.stringify(name + (key ?? ""))} is no field; there are ${namesOf(fields)}`);
    }
    mentioned.add(name);
    tests.push(
      test(field, { key: unquote(key?.slice(1) ?? ""), operator: operator as Operator, value }),
    );
    rest = rest.slice(whole.length);
    const and = AND.exec(rest);
    if (and === null && rest.trim() !== "") {
      throw bad(`${JSON.stringify(rest.trim().slice(0, 60))} must begin with AND`);
    }
    rest = and === null ? "" : rest.slice(and[0].length).trimStart();
    if (and !== null && rest === "") {
      throw bad("ends with AND; a term must follow");
    }
  }
  return { matches: (item) => tests.every((holds) => holds(item)), fields: mentioned };
}

interface Term {
  readonly key: string;
  readonly operator: Operator;
  /** As written, quotes and all. */
  readonly value: string;
}

function test<T>(field: FilterField<T>, term: Term): (item: T) => boolean {
  const { key, operator } = term;
  if (!OPERATORS[field.kind].includes(operator)) {
    throw bad(`${operator} cannot compare a ${field.kind}; ${OPERATORS[field.kind].join(" ")} can`);
  }
  const value = unquote(term.value);
  switch (field.kind) {
    case "text": {
      const compare = textTest(operator, value);
      return (item) => compare(field.read(item, key));
    }
    case "number": {
      const number = Number(value);
      if (value.trim() === "" || Number.isNaN(number)) {
        throw bad(`${term.value} is not a number`);
      }
      return (item) => isOrdered(field.read(item, key), operator, number);
    }
    case "boolean": {
      if (value !== "true" && value !== "false") {
        throw bad(`${term.value} must be true or false`);
      }
      return (item) => (field.read(item, key) === (value === "true")) === (operator === "=");
    }
    case "choice": {
      const option = field.options.find((known) => known === value.toUpperCase());
      if (option === undefined) {
        throw bad(`${term.value} must be one of ${field.options.join(", ")}`);
      }
      return (item) => (field.read(item, key) === option) === (operator === "=");
    }
    case "resource": {
      if (value !== "" && !field.patterns.some((pattern) => pattern.match(value) !== undefined)) {
        const shapes = field.patterns.map(({ pattern }) => pattern).join(" or ");
        throw bad(`${term.value} must match ${shapes}`);
      }
      return (item) => isOrUnder(field.read(item, key), value) === (operator === "=");
    }
  }
}

function isOrUnder(name: string, parent: string): boolean {
  return name === parent || (parent !== "" && name.startsWith(`${parent}/`));
}

/** `:` matches a text that is there and, with a star at the end, begins so. */
function textTest(operator: Operator, value: string): (text: string | undefined) => boolean {
  if (operator === ":") {
    const prefix = value.endsWith("*") ? value.slice(0, -1) : undefined;
    return (text) =>
      text !== undefined && (prefix === undefined ? text === value : text.startsWith(prefix));
  }
  return (text) => (operator === "=" ? text === value : text !== value);
}

function isOrdered(actual: number | undefined, operator: Operator, value: number): boolean {
  if (actual === undefined) {
    return false;
  }
  switch (operator) {
    case "=":
      return actual === value;
    case "!=":
      return actual !== value;
    case ">":
      return actual > value;
    case ">=":
      return actual >= value;
    case "<":
      return actual < value;
    case "<=":
      return actual <= value;
    case ":":
      return false;
  }
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(["\\])/g, "$1") : text;
}

function namesOf<T>(fields: FilterFields<T>): string {
  return Object.keys(fields)
    .map((name) => (name.endsWith(".") ? `${name}KEY` : name))
    .join(", ");
}

function bad(description: string): InvalidArgument {
  return new InvalidArgument(`filter: ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "filter", description }],
  });
}
