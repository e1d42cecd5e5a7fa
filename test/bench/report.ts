// The bench's words: the head that says where and how it was measured, the figures of each
// contender, and the table of what was to be reached.

import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";
import type { Case } from "./case.ts";
import { type Figures, median, type Round, type Verdict } from "./figures.ts";
import { ROOT } from "./tools.ts";

/** What the measured figures depend on. */
export interface Conditions {
  readonly machine: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly node: string;
  readonly onnxruntimeNode: string;
  readonly grpcJs: string;
  readonly grpcGo: string;
  readonly seed: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
}

/** Reads them off the machine and the installed packages. */
export function conditions(options: {
  readonly seed: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
}): Conditions {
  const goMod = readFileSync(join(ROOT, "test", "bench", "load", "go.mod"), "utf8");
  return {
    machine: `${cpus()[0]?.model.trim() ?? "unknown"}, ${type()} ${release()}`,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    onnxruntimeNode: installed("onnxruntime-node"),
    grpcJs: installed("@grpc/grpc-js"),
    grpcGo: /google\.golang\.org\/grpc v(\S+)/.exec(goMod)?.[1] ?? "unknown",
    ...options,
  };
}

/** The head of the report. */
export function headLines(c: Conditions): readonly string[] {
  return [
    `${c.machine}, ${c.cores} cores, ${c.memoryGb} GB`,
    `Node ${c.node}, onnxruntime-node ${c.onnxruntimeNode}, grpc-js ${c.grpcJs}, load by grpc-go ${c.grpcGo}`,
    `seed ${c.seed}; median of ${c.rounds} rounds of ${c.seconds} s after ${c.warmUp} s of warm-up`,
  ];
}

/** Above this the figures of a case say more about the machine's other work than about the case. */
const OTHER_CORES_MAX = 0.2;

type Column = readonly [
  title: string,
  read: keyof Figures | ((figures: Figures) => number | undefined),
  digits: number,
];

const COLUMNS: readonly Column[] = [
  ["rate/s", "rate", 0],
  ["rows/s", "rowRate", 0],
  ["rows/s a core", rowsPerCore, 0],
  ["p50 ms", "p50Ms", 3],
  ["p99 ms", "p99Ms", 3],
  ["server cores", "serverCores", 2],
  ["load cores", "loadCores", 2],
  ["other cores", "otherCores", 2],
  ["log cores", "logCores", 2],
  ["loop p99 ms", "loopDelayP99Ms", 2],
  ["seconds", "seconds", 2],
  ["RSS MB", "residentMb", 0],
  ["growth MB", "growthMb", 1],
  ["window kB", "windowKb", 1],
  ["constraints", "constraints", 0],
  ["public values", "publicValues", 0],
  ["compile ms", "compileMs", 0],
  ["set-up ms", "setupMs", 0],
  ["prove ms", "proveMs", 0],
  ["verify ms", "verifyMs", 1],
  ["proof bytes", "proofBytes", 0],
  ["gas", "gas", 0],
  ["code bytes", "codeBytes", 0],
  ["errors", "errors", 0],
];

/** One case: the median of every figure of every contender. */
export function caseLines(one: Case, rounds: readonly Round[]): readonly string[] {
  const all = rounds.flatMap((round) => [...round.values()]);
  const shown = COLUMNS.filter(([, read]) => all.some((f) => figureOf(f, read) !== undefined));
  const rows = one.contenders.map(({ name }) => {
    const cells = shown.map(([, read, digits]) => {
      const values = rounds.map((round) => figureOf(round.get(name) ?? {}, read));
      const numbers = values.filter((value) => value !== undefined);
      return numbers.length === 0 ? "-" : number(median(numbers), digits);
    });
    return [name, ...cells];
  });
  const failures = new Set(all.map((figures) => figures.firstError ?? "").filter(Boolean));
  return [
    `${one.name}: ${one.title}`,
    ...table([["", ...shown.map(([title]) => title)], ...rows]),
    ...[...failures].map((message) => `  error: ${message}`),
  ];
}

/** What to keep in mind about a case's figures. */
export function caseNotes(one: Case, rounds: readonly Round[]): readonly string[] {
  const others = rounds.flatMap((round) =>
    [...round.values()].flatMap(({ otherCores }) => (otherCores === undefined ? [] : otherCores)),
  );
  if (others.length === 0 || median(others) <= OTHER_CORES_MAX) {
    return [];
  }
  const cores = number(median(others), 2);
  return [`${one.name}: other work took ${cores} cores meanwhile; measure again when it is quiet.`];
}

/** Every row that has something to reach. */
export function verdictLines(
  results: readonly { readonly one: Case; readonly verdicts: readonly Verdict[] }[],
): readonly string[] {
  const rows = results.flatMap(({ one, verdicts }) =>
    verdicts.map(({ check, value, values, met }) => {
      const digits = check.unit === "MB" || check.unit === "" ? 0 : 2;
      const shown = (measured: number) =>
        check.unit === "relative" ? measured.toExponential(1) : number(measured, digits);
      const spread =
        values.length === 0 ? "" : `${shown(Math.min(...values))} to ${shown(Math.max(...values))}`;
      return [
        one.title,
        check.what,
        `${check.bound} ${check.target} ${check.unit}`,
        value === undefined ? "not measured" : `${shown(value)} ${check.unit}`,
        spread,
        met === undefined ? "-" : met ? "met" : "MISSED",
      ];
    }),
  );
  return table([["case", "measured", "to reach", "median", "rounds", ""], ...rows]);
}

function figureOf(figures: Figures, read: Column[1]): number | undefined {
  const value = typeof read === "function" ? read(figures) : figures[read];
  return typeof value === "number" ? value : undefined;
}

/** What a core of the server is worth: it moves less than the rate when others take the machine. */
function rowsPerCore({ rowRate, serverCores }: Figures): number | undefined {
  return rowRate && serverCores ? rowRate / serverCores : undefined;
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const numeric = widths.map((_, column) =>
    rows.slice(1).every((row) => /^(-|[\d.,]+)$/.test(row[column]!)),
  );
  return rows.map((row) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd()
      .replace(/^/, "  "),
  );
}

function number(value: number, digits: number): string {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function installed(name: string): string {
  const path = join(ROOT, "node_modules", name, "package.json");
  return (JSON.parse(readFileSync(path, "utf8")) as { readonly version: string }).version;
}
