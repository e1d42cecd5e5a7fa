// Aliases: names that point at one version of a model and move. The rules are MLflow's.

import type { Pairs } from "./model-version.ts";

const ALIAS_LENGTH_MAX = 255;
export const ALIASES_MAX = 100;
/** Refers to the highest version; cannot be set. */
export const LATEST = "latest";

const ALIAS = /^[a-zA-Z0-9_-]+$/;
const RESERVED = /^(latest|v\d+)$/i;

/** What is wrong with an alias, or undefined. */
export function aliasFault(alias: string): string | undefined {
  if (alias.length > ALIAS_LENGTH_MAX || !ALIAS.test(alias)) {
    return `must be 1 to ${ALIAS_LENGTH_MAX} letters, digits, dashes and underscores`;
  }
  return RESERVED.test(alias) ? "is reserved: latest and v with a number always are" : undefined;
}

/** The aliases with one set; it moves when it is there. */
export function withAlias(aliases: Pairs<number>, alias: string, version: number): Pairs<number> {
  return [...withoutAlias(aliases, alias), { key: alias, value: version }].sort((a, b) =>
    a.key < b.key ? -1 : 1,
  );
}

/** The aliases without one. */
export function withoutAlias(aliases: Pairs<number>, alias: string): Pairs<number> {
  return aliases.filter((entry) => entry.key !== alias);
}

/** The names that point at a version. */
export function aliasesOf(aliases: Pairs<number>, version: number): readonly string[] {
  return aliases.filter((entry) => entry.value === version).map((entry) => entry.key);
}
