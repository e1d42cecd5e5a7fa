// What monitoring last found, in short: below a model version and below a feature view.

import type { FeatureViewHealth } from "../../gen/plinth/features/v1/feature_view_pb.js";
import {
  type ModelHealth,
  ModelHealth_State as State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import { pairsText } from "./format.ts";
import { briefTime, percentText, rateText } from "./monitor-words.ts";
import type { Output, Tone } from "./output.ts";
import { formatCount } from "./progress.ts";
import { type Column, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

/** Drifted columns that are told by name. */
const COLUMNS_SHOWN_MAX = 5;

const right = (title: string): Column => ({ title, align: "right" });

/** A table of one line a deployment; none where nothing was found. */
export function modelHealthLines(
  output: Output,
  health: readonly ModelHealth[],
): readonly string[] {
  if (health.length === 0) {
    return [];
  }
  const columns = [
    { title: "DEPLOYMENT" },
    { title: "HEALTH" },
    { title: "WINDOW END" },
    right("ROWS"),
    right("FEATURES DRIFTED"),
    right("PREDICTIONS DRIFTED"),
    right("ALERTS"),
    { title: "LIVE METRICS" },
    { title: "DRIFTED COLUMNS" },
  ];
  const rows = health.map((one) => [
    shortName(one.deployment),
    State[one.state] ?? "",
    briefTime(one.windowEndTime),
    formatCount(Number(one.rows)),
    shareText(one.featureDriftShare),
    shareText(one.predictionDriftShare),
    one.firingAlerts.length === 0 ? "" : String(one.firingAlerts.length),
    pairsText(one.liveMetrics),
    namesText(one.driftedColumns),
  ]);
  const [head = "", ...body] = tableLines(columns, rows);
  return ["", output.tone("strong", head), ...body.map((line) => toned(output, line))];
}

function shareText(share: number | undefined): string {
  return share === undefined ? "" : percentText(share);
}

function namesText(names: readonly string[]): string {
  const rest = names.length - COLUMNS_SHOWN_MAX;
  const shown = names.slice(0, COLUMNS_SHOWN_MAX).join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function toned(output: Output, line: string): string {
  const tones: Readonly<Record<string, Tone>> = {
    HEALTHY: "good",
    DRIFTED: "warn",
    ALERTING: "bad",
    UNKNOWN: "dim",
  };
  return line.replace(/\b(?:HEALTHY|DRIFTED|ALERTING|UNKNOWN)\b/, (word) =>
    output.tone(tones[word] ?? "dim", word),
  );
}

/** A table of one line a deployment and feature; none where nothing was found. */
export function viewHealthLines(health: readonly FeatureViewHealth[]): readonly string[] {
  if (health.length === 0) {
    return [];
  }
  const columns = [
    { title: "READ BY" },
    { title: "VERSION" },
    { title: "WINDOW END" },
    right("ROWS"),
    { title: "FEATURE" },
    right("MISSING"),
    right("TOO OLD"),
    { title: "DRIFT" },
  ];
  const rows = health.flatMap((one) =>
    one.features.map((feature) => [
      shortName(one.deployment),
      shortName(one.modelVersion),
      briefTime(one.windowEndTime),
      formatCount(Number(one.rows)),
      feature.feature,
      rateText(feature.missingRate),
      rateText(feature.outsideMaxAgeRate),
      feature.drifted === undefined ? "not measured" : feature.drifted ? "DRIFTED" : "no drift",
    ]),
  );
  return rows.length === 0 ? [] : ["", ...tableLines(columns, rows)];
}
