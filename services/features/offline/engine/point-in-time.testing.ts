// Random cases of the point-in-time join, what they must give, and what is left of a case that
// fails when everything that is not needed for it to fail is taken away. Used by the property test.

import type { SeededRandom } from "../../../common/testing/seeded-random.ts";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Cell, Field } from "../../value.ts";
import type { TableFormat } from "../engine-tasks.ts";

/** Three views: by one column, by another one under the same join key, and by two columns. */
export const VIEWS: readonly {
  readonly joinKeys: readonly Field[];
  readonly features: readonly Field[];
}[] = [
  {
    joinKeys: [{ name: "airport", type: "STRING" }],
    features: [
      { name: "delay", type: "DOUBLE" },
      { name: "flights", type: "INT64" },
    ],
  },
  {
    joinKeys: [{ name: "airport", type: "STRING" }],
    features: [{ name: "note", type: "STRING" }],
  },
  {
    joinKeys: [
      { name: "airport", type: "STRING" },
      { name: "hour", type: "INT64" },
    ],
    features: [{ name: "ratio", type: "FLOAT" }],
  },
];

/** The request columns of each view's join keys. */
const COLUMNS = [["origin"], ["destination"], ["origin", "hour"]] as const;

/** A stored row. */
export interface Stored {
  readonly view: number;
  readonly key: readonly Cell[];
  /** Microseconds. */
  readonly event: number;
  readonly created: number;
  readonly values: readonly Cell[];
  /** In which of the writes it came. */
  readonly push: number;
}

/** A row of the entity table. */
export interface Asked {
  readonly origin: string | null;
  readonly destination: string | null;
  readonly hour: number | null;
  /** Microseconds. */
  readonly time: number;
}

/** Rows whose keys no other case has. */
export interface Case {
  readonly stored: readonly Stored[];
  readonly asked: readonly Asked[];
}

/** What all cases of one run share. */
export interface Setting {
  readonly ttlUs: readonly number[];
  readonly ignoreCreatedTimestamp: boolean;
  readonly tableFormat: TableFormat;
  readonly outFormat: "parquet" | "csv";
}

export const PUSHES = 3;
const BASE = Date.UTC(2001, 0, 1) * 1000;
const HOURS = 3_600_000_000;
/** Few moments, so that times meet; over several days, so that files do. */
const STEP = 6 * HOURS;
const STEPS = 10;

/** Settings of successive numbers go through all formats. */
export function randomSetting(random: SeededRandom, number: number): Setting {
  return {
    ttlUs: VIEWS.map(() => random.pick([0, STEP, 4 * STEP])),
    ignoreCreatedTimestamp: number % 4 === 3,
    tableFormat: (["parquet", "csv", "ndjson"] as const)[number % 3] ?? "parquet",
    outFormat: number % 2 === 0 ? "parquet" : "csv",
  };
}

/** A case; keys carry its number, so that cases of one run do not meet. */
export function randomCase(random: SeededRandom, number: number, setting: Setting): Case {
  const airports = ["", "é漢", `"a", 'b'`]
    .slice(0, 1 + random.below(3))
    .map((s) => `${number}${s}`);
  const keyOf = (view: number): Cell[] => {
    return view === 2 ? [random.pick(airports), random.below(2)] : [random.pick(airports)];
  };
  const moment = () => BASE + random.below(STEPS) * STEP + random.pick([-1, 0, 0, 0, 0, 1]);
  const backfill = moment();
  const stored = Array.from({ length: random.below(24) }, (): Stored => {
    const view = random.below(3);
    const event = moment();
    const late = random.pick([0, 0, 1, STEP, -STEP, 5 * STEP]);
    return {
      view,
      key: keyOf(view),
      event,
      created: random.below(4) === 0 ? backfill : event + late,
      values: (VIEWS[view]?.features ?? []).map((field) => randomValue(random, field)),
      push: random.below(PUSHES),
    };
  });
  const again = stored.filter(() => random.below(6) === 0);
  const all = [
    ...stored,
    ...again.map((row) => {
      const values = (VIEWS[row.view]?.features ?? []).map((field) => randomValue(random, field));
      return { ...row, values, push: random.below(PUSHES) };
    }),
  ];
  const asked = Array.from({ length: 1 + random.below(8) }, (): Asked => {
    const near = all.length === 0 ? undefined : random.pick(all);
    const edges = near === undefined ? [moment()] : [near.event, near.created, moment()];
    const ttl = random.pick([0, 0, ...setting.ttlUs]);
    return {
      origin: random.below(20) === 0 ? null : random.pick([...airports, `${number}none`]),
      destination: random.below(20) === 0 ? null : random.pick(airports),
      hour: random.below(20) === 0 ? null : random.below(2),
      time: random.pick(edges) + ttl + random.pick([-1, 0, 0, 1]),
    };
  });
  return { stored: all, asked };
}

function randomValue(random: SeededRandom, { type }: Field): Cell {
  if (random.below(5) === 0) {
    return null;
  }
  switch (type) {
    case "STRING":
      return random.pick(["", "a", "é,\n漢", '"']) + random.below(100);
    case "INT64":
      return random.below(1000) - 500;
    default:
      return random.below(8) === 0 ? Number.NaN : random.below(1000) / 4;
  }
}

/** What became of a value, as the counts of a training set call it. */
export type Fate = "present" | "nullValue" | "notFound" | "outsideMaxAge";

/** The rule, as it is written in the proto, for one row and one view. */
export function oracle(
  rows: readonly Stored[],
  ask: { readonly key: readonly Cell[]; readonly time: number },
  view: { readonly index: number; readonly setting: Setting },
): { readonly values: readonly Cell[]; readonly fates: readonly Fate[] } {
  const { ttlUs, ignoreCreatedTimestamp } = view.setting;
  const features = VIEWS[view.index]?.features ?? [];
  const ttl = ttlUs[view.index] ?? 0;
  const all = (fate: Fate) => ({
    values: features.map(() => null),
    fates: features.map(() => fate),
  });
  let newest: Stored | undefined;
  for (let push = 0; push < PUSHES; push++) {
    for (const row of rows) {
      const isOurs = row.push === push && row.view === view.index;
      const isKnown = ignoreCreatedTimestamp || row.created <= ask.time;
      const isSame = row.key.every((part, index) => part === ask.key[index]);
      if (!isOurs || !isKnown || !isSame || row.event > ask.time) {
        continue;
      }
      const isNewer =
        newest === undefined ||
        row.event > newest.event ||
        (row.event === newest.event && row.created > newest.created);
      newest = isNewer ? row : newest;
    }
  }
  if (newest === undefined) {
    return all("notFound");
  }
  if (ttl > 0 && newest.event < ask.time - ttl) {
    return all("outsideMaxAge");
  }
  const { values } = newest;
  return { values, fates: values.map((value) => (value === null ? "nullValue" : "present")) };
}

/** What the oracle gives for all views of a row of the entity table. */
export function expectedOf(one: Case, ask: Asked, setting: Setting) {
  const views = VIEWS.map((_, index) => {
    const key = (COLUMNS[index] ?? []).map((column) => ask[column]);
    return oracle(one.stored, { key, time: ask.time }, { index, setting });
  });
  return {
    values: views.flatMap(({ values }) => values),
    fates: views.flatMap(({ fates }) => fates),
  };
}

/** The plan that reads every feature of every view. */
export function planOf(setting: Setting): ReadPlan {
  const requestColumns: readonly Field[] = [
    { name: "origin", type: "STRING" },
    { name: "destination", type: "STRING" },
    { name: "hour", type: "INT64" },
  ];
  const views = VIEWS.map(({ joinKeys, features }, index) => {
    const version = {
      number: 1,
      createTime: new Date(0),
      entities: [],
      joinKeys,
      features: features.map((field) => ({ ...field, description: "", defaultValue: null })),
      ttlUs: setting.ttlUs[index] ?? 0,
      source: { eventTimestampColumn: "", createdTimestampColumn: "", fieldMapping: [] },
      online: true,
      offline: true,
    };
    return { source: { view: `view${index}`, uid: `uid${index}`, version }, key: index };
  });
  return {
    workspace: "test",
    featureService: undefined,
    loggingSampleRate: 0,
    requestColumns,
    keyColumns: 3,
    keys: COLUMNS.map((columns, view) => ({
      parts: columns.map((column, part) => ({
        joinKey: VIEWS[view]?.joinKeys[part]?.name ?? "",
        column: requestColumns.findIndex(({ name }) => name === column),
      })),
    })),
    views,
    transforms: [],
    outputs: VIEWS.flatMap(({ features }, read) =>
      features.map(({ name, type }, feature) => ({
        name,
        type,
        view: `view${read}`,
        viewVersion: 1,
        defaultValue: null,
        from: { kind: "view" as const, read, feature },
      })),
    ),
  };
}

/**
 * Takes away stored and asked rows, many at once and then one by one, as long as what stays fails
 * still. The result fails, and with any one row less it does not.
 */
export async function shrink(
  failing: Case,
  fails: (smaller: Case) => Promise<boolean>,
): Promise<Case> {
  let smallest = failing;
  for (const part of ["asked", "stored"] as const) {
    for (let size = smallest[part].length; size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < smallest[part].length; ) {
        const rows: readonly unknown[] = smallest[part];
        const smaller = { ...smallest, [part]: [...rows.slice(0, at), ...rows.slice(at + size)] };
        if (smaller.asked.length > 0 && (await fails(smaller))) {
          smallest = smaller;
        } else {
          at += size;
        }
      }
    }
  }
  return smallest;
}
