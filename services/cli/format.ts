// Values of messages as people read them: times, states, signatures.

import { type Duration, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  ModelVersion_Approval as Approval,
  type ModelVersion,
  ModelVersion_State as VersionState,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { Signature, TensorSpec } from "../../gen/plinth/registry/v1/signature_pb.js";
import type { Output, Tone } from "./output.ts";
import { tableLines } from "./table.ts";

/** Digits of a digest that people compare; --json has all. */
const DIGITS_SHOWN = 16;

/** The first digits of a digest; empty where there is none. */
export function shortDigest(digest: string): string {
  return digest === "" ? "" : `${digest.slice(0, DIGITS_SHOWN)}…`;
}

/** "2026-11-20 05:20Z", or "" when absent. */
export function formatTime(time: Timestamp | undefined): string {
  return time === undefined
    ? ""
    : `${timestampDate(time).toISOString().slice(0, 16).replace("T", " ")}Z`;
}

/** "1.25 ms", or "" when absent. */
export function formatDuration(duration: Duration | undefined): string {
  if (duration === undefined) {
    return "";
  }
  const ms = exactMs(duration);
  return ms >= 1000 ? `${trimmed(ms / 1000)} s` : `${trimmed(ms)} ms`;
}

/** Milliseconds with their fraction; 0 when absent. */
export function exactMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function trimmed(value: number): string {
  return String(Number(value.toFixed(2)));
}

/** "READY" with why it is not, where it failed. */
export function stateText(version: ModelVersion): string {
  return version.archiveTime === undefined
    ? VersionState[version.state]
    : `${VersionState[version.state]}, archived`;
}

export function approvalText(version: ModelVersion): string {
  return Approval[version.approval];
}

/** "auc=0.91 f1=0.88" */
export function pairsText(pairs: Readonly<Record<string, string | number | bigint>>): string {
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${typeof value === "number" ? formatNumber(value) : value}`)
    .join(" ");
}

/** Up to 6 significant digits, without trailing zeros. */
export function formatNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

/** Inputs and outputs as a table: direction, name, datatype, shape. */
export function signatureLines(signature: Signature): readonly string[] {
  const rows = [
    ...signature.inputs.map((spec) => ["input", ...specCells(spec)]),
    ...signature.outputs.map((spec) => ["output", ...specCells(spec)]),
  ];
  const columns = ["", "NAME", "DATATYPE", "SHAPE"].map((title) => ({ title }));
  return tableLines(columns, rows);
}

/** The colour of a state: green when all is well, red when someone must act. */
export function toneOfState(output: Output, state: string): string {
  const tones: Readonly<Record<string, Tone>> = {
    READY: "good",
    SERVING: "good",
    APPROVED: "good",
    FAILED: "bad",
    NOT_SERVING: "bad",
    REJECTED: "bad",
    DEGRADED: "warn",
    PENDING: "warn",
    VALIDATING: "warn",
    LOADING: "warn",
  };
  const tone = tones[state];
  return tone === undefined ? state : output.tone(tone, state);
}

function specCells(spec: TensorSpec): readonly string[] {
  const dimensions = spec.shape.map((dimension, index) =>
    dimension >= 0n ? String(dimension) : spec.dimensionNames[index] || "?",
  );
  return [
    spec.name,
    spec.datatype,
    dimensions.length === 0 ? "scalar" : `[${dimensions.join(", ")}]`,
  ];
}
