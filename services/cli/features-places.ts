// Where in a file the server's findings are: `feature_views[1].features[0].expression` of the
// request is line 14 of flights.yaml.

import { type FieldViolation, InvalidArgument } from "../common/errors/domain-error.ts";
import { camelCase } from "./features-fields.ts";
import { refused } from "./features-load.ts";
import { type Shaped, SPELLINGS } from "./features-shape.ts";
import type { Fault, Place, Tree } from "./features-tree.ts";

/** The refusal of an apply told by places in files; other errors stay as they are. */
export function placed(error: unknown, definitions: readonly Shaped[]): unknown {
  if (!(error instanceof InvalidArgument) || error.violations.length === 0) {
    return error;
  }
  const faults = error.violations.map((violation) => faultOf(violation, definitions));
  return faults.every((fault) => fault !== undefined) ? refused(faults) : error;
}

function faultOf(
  { field, description }: FieldViolation,
  definitions: readonly Shaped[],
): Fault | undefined {
  const parts = /^([a-z_A-Z]+)\[(\d+)\]\.?(.*)$/.exec(field);
  const list = camelCase(parts?.[1] ?? "");
  const one = definitions.filter((definition) => definition.list === list)[Number(parts?.[2])];
  if (one === undefined) {
    return undefined;
  }
  const path = parts?.[3] ?? "";
  // The server may say the field again, which means nothing to the file.
  const said = description.startsWith(`${field}: `)
    ? description.slice(field.length + 2)
    : description;
  const text = path === "" ? `${one.name}: ${said}` : `${one.name}, ${named(path, one)}: ${said}`;
  return { at: placeIn(one.tree, path), text };
}

/** "features[1].default_value" with the name in place of the number: "features.flights.default_value" */
function named(path: string, { value }: Shaped): string {
  return path.replace(/^(\w+)\[(\d+)\]/, (all, list: string, index: string) => {
    const items: unknown = value[camelCase(list) as keyof typeof value];
    const item: unknown = Array.isArray(items) ? items[Number(index)] : undefined;
    const isNamed = typeof item === "object" && item !== null && "name" in item;
    return isNamed ? `${list}.${item.name}` : all;
  });
}

/** As deep into the tree as the path leads: "features[0].expression". */
export function placeIn(tree: Tree, path: string): Place {
  let node: Tree = tree;
  let at = tree.at;
  for (const [, key, index] of path.matchAll(/([a-zA-Z_]+)|\[(\d+)\]/g)) {
    if (node.kind === "map") {
      const entry =
        index === undefined ? entryOf(node, camelCase(key ?? "")) : node.entries[Number(index)];
      if (entry === undefined) {
        return at;
      }
      at = entry.at;
      node = entry.value;
    } else if (node.kind === "list" && index !== undefined && node.items[Number(index)]) {
      node = node.items[Number(index)]!;
      at = node.at;
    } else {
      return at;
    }
  }
  return at;
}

function entryOf(node: Extract<Tree, { kind: "map" }>, name: string) {
  const spellings = [name, ...(SPELLINGS.get(name) ?? [])];
  return node.entries.find((entry) => spellings.includes(camelCase(entry.key)));
}
