// Drift options between messages and settings: on a monitor, and on a report that is measured
// otherwise for once.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { DriftMethod as MethodMessage } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import type {
  ColumnDriftOptions,
  DriftOptions as DriftMessage,
  DriftOptionsSchema,
} from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import type { RequestFaults } from "../../common/request-faults.ts";
import { type DriftMethod, METHOD_RULES } from "../drift/drift-method.ts";
import {
  type ColumnDriftSettings,
  DEFAULT_SETTINGS,
  type DriftSettings,
} from "./monitor-settings.ts";

const COLUMNS_MAX = 1000;
/** As of a column's name in a layout. */
const COLUMN_NAME_LENGTH_MAX = 512;

const METHODS: Readonly<Record<DriftMethod, MethodMessage>> = {
  psi: MethodMessage.PSI,
  psi_deciles: MethodMessage.PSI_DECILES,
  kl_divergence: MethodMessage.KL_DIVERGENCE,
  jensen_shannon: MethodMessage.JENSEN_SHANNON,
  jensen_shannon_base2: MethodMessage.JENSEN_SHANNON_BASE2,
  hellinger: MethodMessage.HELLINGER,
  wasserstein: MethodMessage.WASSERSTEIN,
  kolmogorov_smirnov: MethodMessage.KOLMOGOROV_SMIRNOV,
  chi_square: MethodMessage.CHI_SQUARE,
  chi_square_contingency: MethodMessage.CHI_SQUARE_CONTINGENCY,
  z_test: MethodMessage.Z_TEST,
};

const BY_NUMBER = new Map(
  Object.entries(METHODS).map(([method, number]) => [number, method as DriftMethod]),
);

/** As the API names the method; undefined is the unspecified one. */
export function methodMessage(method: DriftMethod | undefined): MethodMessage {
  return method === undefined ? MethodMessage.UNSPECIFIED : METHODS[method];
}

/**
 * The options of a request; absent: the defaults. What is wrong is noted under `field`, and the
 * result is then not to be used.
 */
export function driftSettings(
  message: DriftMessage | undefined,
  field: string,
  faults: RequestFaults,
): DriftSettings {
  if (message === undefined) {
    return DEFAULT_SETTINGS.drift;
  }
  const { columns, datasetShare, method } = message;
  faults.known(`${field}.method`, method, MethodMessage);
  faults.check(
    datasetShare >= 0 && datasetShare <= 1,
    `${field}.dataset_share`,
    `is ${datasetShare}; a share above 0 and at most 1, or 0 for the default`,
  );
  const fits = columns.length <= COLUMNS_MAX;
  faults.check(fits, `${field}.columns`, `has ${columns.length} entries; at most ${COLUMNS_MAX}`);
  const shown = fits ? columns : [];
  checkColumns(shown, `${field}.columns`, faults);
  return {
    ...optional("method", BY_NUMBER.get(method)),
    columns: shown.map(columnSettings),
    datasetShare: datasetShare === 0 ? DEFAULT_SETTINGS.drift.datasetShare : datasetShare,
  };
}

/** The way back. */
export function driftMessage(drift: DriftSettings): MessageInitShape<typeof DriftOptionsSchema> {
  return {
    method: methodMessage(drift.method),
    columns: drift.columns.map(({ column, method, threshold, sizeMin, ignored }) => ({
      column,
      method: methodMessage(method),
      ...optional("threshold", threshold),
      ...optional("sizeMin", sizeMin === undefined ? undefined : BigInt(sizeMin)),
      ignored,
    })),
    datasetShare: drift.datasetShare,
  };
}

/** Notes a name that no column can have. */
export function checkColumnName(name: string, field: string, faults: RequestFaults): void {
  const fits = name !== "" && name.length <= COLUMN_NAME_LENGTH_MAX && name.isWellFormed();
  faults.check(fits, field, `must be the name of a column, up to ${COLUMN_NAME_LENGTH_MAX} long`);
}

function checkColumns(
  columns: readonly ColumnDriftOptions[],
  field: string,
  faults: RequestFaults,
): void {
  const seen = new Set<string>();
  for (const [i, { column, method, threshold, sizeMin }] of columns.entries()) {
    const at = `${field}[${i}]`;
    checkColumnName(column, `${at}.column`, faults);
    const shown = JSON.stringify(column.slice(0, 80));
    faults.check(!seen.has(column), `${at}.column`, `names ${shown} again; each column once`);
    seen.add(column);
    faults.known(`${at}.method`, method, MethodMessage);
    checkThreshold({ threshold, method: BY_NUMBER.get(method) }, `${at}.threshold`, faults);
    const size = sizeMin ?? 1n;
    const isSize = size >= 1n && size <= BigInt(Number.MAX_SAFE_INTEGER);
    faults.check(isSize, `${at}.size_min`, `is ${sizeMin}; a number of values, at least 1`);
  }
}

function checkThreshold(
  of: { readonly threshold: number | undefined; readonly method: DriftMethod | undefined },
  field: string,
  faults: RequestFaults,
): void {
  const { threshold = 0, method } = of;
  const isBound = Number.isFinite(threshold) && threshold >= 0;
  faults.check(isBound, field, `is ${threshold}; a finite number, at least 0`);
  if (isBound && method !== undefined && METHOD_RULES[method].measures === "p-value") {
    faults.check(threshold <= 1, field, `is ${threshold}; a p-value is at most 1`);
  }
}

function columnSettings(message: ColumnDriftOptions): ColumnDriftSettings {
  const { column, method, threshold, sizeMin, ignored } = message;
  return {
    column,
    ...optional("method", BY_NUMBER.get(method)),
    ...optional("threshold", threshold),
    ...optional("sizeMin", sizeMin === undefined ? undefined : Number(sizeMin)),
    ignored,
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}
