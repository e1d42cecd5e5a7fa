// Definitions in YAML: every document of the file as a tree whose values know line and column.
// Anchors, aliases and merge keys (<<) work as people expect of YAML.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLMap,
} from "yaml";
import { type Entry, type Fault, type Place, scalarOf, type Tree } from "./features-tree.ts";

/** Aliases of aliases can make a small file a huge one; no file of definitions comes near. */
const NODES_MAX = 100_000;

const MERGE_KEY = "<<";

interface Reading {
  readonly document: Document;
  readonly placeOf: (node: Node | null | undefined) => Place;
  readonly faults: Fault[];
  nodes: number;
}

/** The documents of a YAML text that are not empty. `file` begins every place. */
export function yamlTrees(text: string, file: string, faults: Fault[]): readonly Tree[] {
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    intAsBigInt: true,
    logLevel: "silent",
  });
  const trees: Tree[] = [];
  for (const document of documents as readonly Document[]) {
    const wrong = [...document.errors, ...document.warnings];
    faults.push(...wrong.map(({ pos, message }) => ({ at: at(pos[0]), text: message })));
    const { contents } = document;
    if (wrong.length > 0 || contents === null || isNothing(contents)) {
      continue;
    }
    const placeOf = (node: Node | null | undefined): Place => at(node?.range?.[0] ?? 0);
    trees.push(read(contents, { document, placeOf, faults, nodes: 0 }));
  }
  return trees;
}

function isNothing(node: Node): boolean {
  return isScalar(node) && node.value === null;
}

function read(node: Node | null, reading: Reading): Tree {
  const at = reading.placeOf(node);
  reading.nodes += 1;
  if (reading.nodes > NODES_MAX) {
    if (reading.nodes === NODES_MAX + 1) {
      reading.faults.push({ at, text: `more than ${NODES_MAX} values; do aliases repeat?` });
    }
    return { kind: "scalar", value: null, at };
  }
  if (isAlias(node)) {
    return { ...read(node.resolve(reading.document) ?? null, reading), at };
  }
  if (isMap(node)) {
    return { kind: "map", entries: entriesOf(node, reading), at };
  }
  if (isSeq(node)) {
    return { kind: "list", items: node.items.map((item) => read(item as Node, reading)), at };
  }
  const value = isScalar(node) ? node.value : null;
  return { kind: "scalar", value: scalarOf(value, at, reading.faults), at };
}

/** A map's own keys first, then those that << brings and it does not have itself. */
function entriesOf(map: YAMLMap, reading: Reading): readonly Entry[] {
  const own: Entry[] = [];
  const merged: Entry[] = [];
  for (const pair of map.items as readonly Pair<Node | null, Node | null>[]) {
    const at = reading.placeOf(pair.key);
    if (!isScalar(pair.key)) {
      reading.faults.push({ at, text: "a key must be a name" });
    } else if (pair.key.value === MERGE_KEY) {
      merged.push(...mergedEntries(read(pair.value, reading), reading));
    } else {
      own.push({ key: String(pair.key.value), at, value: read(pair.value, reading) });
    }
  }
  const names = new Set(own.map(({ key }) => key));
  return [...own, ...merged.filter(({ key }) => !names.has(key) && names.add(key))];
}

function mergedEntries(tree: Tree, reading: Reading): readonly Entry[] {
  if (tree.kind === "map") {
    return tree.entries;
  }
  if (tree.kind === "list") {
    return tree.items.flatMap((item) => mergedEntries(item, reading));
  }
  reading.faults.push({ at: tree.at, text: "<< takes a map, or a list of maps" });
  return [];
}
