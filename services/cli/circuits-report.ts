// A circuit as lines for a terminal: what it is, what it costs to prove, what whole numbers cost in
// accuracy, how large values become, and how its key came to be.

import {
  type Circuit,
  type CircuitOptions,
  type CircuitReport,
  type Contribution,
  CircuitOptions_InputMode as InputMode,
  type KeySetup,
  CircuitOptions_OutputMode as OutputMode,
  KeySetup_Protocol as Protocol,
  CircuitOptions_Setup as Setup,
  Circuit_State as State,
} from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { accuracyLines, stepLines } from "./circuits-accuracy.ts";
import { formatDuration, formatNumber, formatTime, shortDigest } from "./format.ts";
import { stepsText } from "./job-bar.ts";
import { measureText, percentText } from "./monitor-words.ts";
import type { Output } from "./output.ts";
import { errorOfStatus } from "./predict-refused.ts";
import { counted, formatBytes, formatCount } from "./progress.ts";
import { factLines, tableLines } from "./table.ts";

/** Everything of a circuit. */
export function circuitLines(output: Output, circuit: Circuit): readonly string[] {
  const { calibration, report, setup } = circuit;
  const sections = [
    factsOf(circuit),
    calibration === undefined ? [] : accuracyLines(output, calibration),
    report === undefined ? [] : stepLines(output, report, calibration?.layers ?? []),
    setup === undefined ? [] : contributionLines(output, setup.contributions),
  ];
  const lines = sections.flatMap((section, i) =>
    section.length === 0 || i === 0 ? section : ["", ...section],
  );
  return lines.map((line) => toned(output, line));
}

function factsOf(circuit: Circuit): readonly string[] {
  const { options, report, setup, error } = circuit;
  return factLines([
    ["circuit", circuit.name],
    ["state", stateText(circuit)],
    ["error", error && errorOfStatus(error).message],
    ["made with", options && optionsText(options, hasTrees(circuit))],
    ["constraints", report && sizeText(report)],
    ["public values", report && formatCount(report.publicValues)],
    ["prove time", proveTimeFact(report)],
    ["made in", report && madeText(report)],
    ["key", setup && setupText(setup, report)],
    ["key hash", setup?.keyHash],
    ["powers of tau", setup?.powersOfTauHash],
    ["verifying key", circuit.verifyingKeyHash],
    ["model commitment", circuit.modelCommitment],
    ["schema", circuit.schemaHash],
    ["constraints hash", circuit.circuitHash],
    ["model file", circuit.modelDigest],
    [
      "created",
      `${formatTime(circuit.createTime)}${circuit.actor === "" ? "" : ` by ${circuit.actor}`}`,
    ],
  ]);
}

/** "READY, active", "COMPILING", ... and how far it is. */
export function stateText({ state, active, progress }: Circuit): string {
  const steps = progress === undefined ? "" : stepsText({ ...progress, unit: "steps" });
  return [State[state], active ? "active" : "", steps].filter((part) => part !== "").join(", ");
}

/** "DEVELOPMENT", "ceremony of 2", "PLONK"; as asked for where there is none yet. */
export function keyText({ state, setup, options }: Circuit): string {
  if (setup === undefined) {
    const asked = options?.setup ?? Setup.UNSPECIFIED;
    const isLost = state === State.FAILED || state === State.CANCELLED;
    return isLost || asked === Setup.UNSPECIFIED
      ? ""
      : `none yet (${(Setup[asked] ?? "").toLowerCase()})`;
  }
  if (setup.development) {
    return "DEVELOPMENT";
  }
  return setup.protocol === Protocol.PLONK ? "PLONK" : `ceremony of ${parties(setup)}`;
}

/** "1.2 s", "~1.2 s" where it is an estimate; "" where nothing is known. */
export function proveTimeText(report: CircuitReport | undefined): string {
  const text = formatDuration(report?.proveTime);
  return text !== "" && report?.proofsMeasured === 0 ? `~${text}` : text;
}

function proveTimeFact(report: CircuitReport | undefined): string {
  const text = proveTimeText(report);
  const measured = report?.proofsMeasured ?? 0;
  return text === ""
    ? ""
    : `${text} (${measured === 0 ? "estimated" : `median of ${counted(measured, "proof")}`})`;
}

function hasTrees({ calibration }: Circuit): boolean {
  return calibration?.layers.some(({ kind }) => kind === "trees") ?? false;
}

function optionsText(options: CircuitOptions, isTrees: boolean): string {
  const { weightBits, weightTarget, inputMode, outputMode, threshold } = options;
  const target = [
    weightTarget?.agreement ? `agreement ${percentText(weightTarget.agreement)}` : "",
    weightTarget?.error ? `error ${measureText(weightTarget.error)}` : "",
  ].filter((part) => part !== "");
  const parts = [
    weightBits > 0 ? `${weightBits} weight bits` : `weight bits for ${target.join(" and ")}`,
    `${options.activationBits} activation bits`,
    isTrees ? `${options.leafBits} leaf bits` : "",
    `inputs ${(InputMode[inputMode] ?? "").toLowerCase()}`,
    outputMode === OutputMode.UNSPECIFIED
      ? ""
      : `output ${(OutputMode[outputMode] ?? "").toLowerCase()}`,
    threshold === undefined ? "" : `threshold ${formatNumber(threshold)}`,
    options.context ? "with a context" : "no context",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function sizeText({
  constraints,
  linearConstraints,
  wires,
  domain,
  circuitBytes,
}: CircuitReport): string {
  return (
    `${formatCount(Number(constraints))} (${formatCount(Number(linearConstraints))} linear), ` +
    `${formatCount(Number(wires))} wires, domain 2^${Math.log2(Number(domain))}, ` +
    `${formatBytes(Number(circuitBytes))}`
  );
}

function madeText({ compileTime, checkTime, setupTime }: CircuitReport): string {
  const parts = [
    ["compiled", compileTime],
    ["soundness checked", checkTime],
    ["key", setupTime],
  ] as const;
  return parts
    .flatMap(([what, time]) => (time === undefined ? [] : `${what} ${formatDuration(time)}`))
    .join(", ");
}

/** What kind of key it is, who made it, and how large it is. */
export function setupText(setup: KeySetup, report: CircuitReport | undefined): string {
  const bytes = Number(report?.keyBytes ?? 0n);
  const size = bytes === 0 ? "" : `, ${formatBytes(bytes)}`;
  if (setup.development) {
    return `DEVELOPMENT SET-UP, made by one party${size}`;
  }
  if (setup.protocol === Protocol.PLONK) {
    return `PLONK, from powers of tau${size}`;
  }
  const state = setup.verified ? "closed and verified" : "open";
  return `Groth16, ceremony of ${counted(parties(setup), "contribution")}, ${state}${size}`;
}

function parties({ contributions }: KeySetup): number {
  return contributions.filter(({ beacon }) => !beacon).length;
}

function contributionLines(
  output: Output,
  contributions: readonly Contribution[],
): readonly string[] {
  if (contributions.length === 0) {
    return [];
  }
  const columns = ["CONTRIBUTION", "KIND", "HASH", "TIME"].map((title) => ({ title }));
  const cells = contributions.map(({ name, beacon, hash, beaconHash, beaconIterations, time }) => [
    name || "(no name)",
    beacon ? `beacon ${shortDigest(beaconHash)} 2^${beaconIterations}` : "party",
    shortDigest(hash),
    formatTime(time),
  ]);
  const [head = "", ...body] = tableLines(columns, cells);
  return [output.tone("strong", head), ...body];
}

/** What must not be overlooked. */
function toned(output: Output, line: string): string {
  return line
    .replace(/\bDEVELOPMENT SET-UP\b/, (words) => output.tone("warn", words))
    .replace(
      /^(state: +)(READY|FAILED)/,
      (_, head, state) => head + output.tone(state === "READY" ? "good" : "bad", state),
    );
}
