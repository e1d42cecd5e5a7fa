// Functions that expressions have beside the library's: calendar fields that do not depend on the
// time zone of the machine, times read strictly, and arithmetic that features need.

import { fromJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";

/** Signature in the library's words, and what it does. Texts are strings, ints bigints. */
export type ExpressionFunction = readonly [
  signature: string,
  run: (...args: never[]) => boolean | number | bigint | Date,
];

const TIME = "google.protobuf.Timestamp";
const DURATION = "google.protobuf.Duration";
const DAY_MS = 86_400_000;

type Field = (time: Date) => number;

/** Of a Date in UTC; days and months count from 0, as CEL has it, but for getDate. */
const FIELDS: Readonly<Record<string, Field>> = {
  getDate: (time) => time.getUTCDate(),
  getDayOfMonth: (time) => time.getUTCDate() - 1,
  getDayOfWeek: (time) => time.getUTCDay(),
  getDayOfYear: (time) => {
    const day = Date.UTC(2000, time.getUTCMonth(), time.getUTCDate());
    const leap = new Date(0).setUTCFullYear(time.getUTCFullYear(), 1, 29);
    const isLeap = new Date(leap).getUTCMonth() === 1;
    const afterFebruary = time.getUTCMonth() > 1 && !isLeap ? 1 : 0;
    return (day - Date.UTC(2000, 0, 1)) / DAY_MS - afterFebruary;
  },
  getFullYear: (time) => time.getUTCFullYear(),
  getHours: (time) => time.getUTCHours(),
  getMilliseconds: (time) => time.getUTCMilliseconds(),
  getMinutes: (time) => time.getUTCMinutes(),
  getMonth: (time) => time.getUTCMonth(),
  getSeconds: (time) => time.getUTCSeconds(),
};

/** Of a duration as a whole, not of its last hour; the library's own do well. */
const DURATION_FIELDS = ["getHours", "getMinutes", "getSeconds", "getMilliseconds"] as const;

/** Calendar fields of times, with and without a zone, and timestamp(). */
export function timeFunctions(): readonly ExpressionFunction[] {
  return [
    ...Object.entries(FIELDS).flatMap(([name, field]): ExpressionFunction[] => [
      [`${TIME}.plinth_${name}(): int`, (time: Date) => BigInt(field(time))],
      [
        `${TIME}.plinth_${name}(string): int`,
        (time: Date, zone: string) => BigInt(field(inZone(time, zone))),
      ],
    ]),
    ...DURATION_FIELDS.map(
      (name): ExpressionFunction => [
        `${DURATION}.plinth_${name}(): int`,
        (duration: Readonly<Record<typeof name, () => bigint>>) => duration[name](),
      ],
    ),
    [`plinth_timestamp(string): ${TIME}`, parseTime],
    [`plinth_timestamp(int): ${TIME}`, (seconds: bigint) => dateOf(Number(seconds) * 1000)],
  ];
}

/** math.* on the namespace type given; numbers are doubles, but where ints go in and come out. */
export function mathFunctions(namespace: string): readonly ExpressionFunction[] {
  const unary: Readonly<Record<string, (x: number) => number>> = {
    ceil: Math.ceil,
    cos: Math.cos,
    exp: Math.exp,
    floor: Math.floor,
    log: Math.log,
    // Halves away from zero, as CEL has it.
    round: (x) => Math.sign(x) * Math.round(Math.abs(x)),
    sign: Math.sign,
    sin: Math.sin,
    sqrt: Math.sqrt,
    trunc: Math.trunc,
  };
  // NaN is neither less nor greater than anything: where it comes in, it comes out.
  const least = <T extends number | bigint>(...xs: T[]) =>
    xs.reduce((a, b) => (b < a || Number.isNaN(b) ? b : a));
  const greatest = <T extends number | bigint>(...xs: T[]) =>
    xs.reduce((a, b) => (b > a || Number.isNaN(b) ? b : a));
  const on = (signature: string, run: (...args: never[]) => number | bigint | boolean) =>
    [`${namespace}.${signature}`, (_math: never, ...args: never[]) => run(...args)] as const;
  return [
    ...Object.entries(unary).map(([name, run]) => on(`${name}(double): double`, run)),
    on("pow(double, double): double", (x: number, y: number) => x ** y),
    on("abs(double): double", (x: number) => Math.abs(x)),
    on("abs(int): int", (x: bigint) => (x < 0n ? -x : x)),
    on("isNaN(double): bool", (x: number) => Number.isNaN(x)),
    on("isInf(double): bool", (x: number) => Math.abs(x) === Number.POSITIVE_INFINITY),
    on("isFinite(double): bool", (x: number) => Number.isFinite(x)),
    ...["int", "double"].flatMap((type) =>
      [`${type}, ${type}`, `${type}, ${type}, ${type}`].flatMap((args) => [
        on(`least(${args}): ${type}`, least),
        on(`greatest(${args}): ${type}`, greatest),
      ]),
    ),
  ];
}

const FORMATS_MAX = 1000;
/** By zone; zones are written out in expressions and few. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** The time whose fields in UTC are the ones that clocks show in a zone. */
function inZone(time: Date, zone: string): Date {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      hourCycle: "h23",
      era: "short",
      ...{ year: "numeric", month: "numeric", day: "numeric" },
      ...{ hour: "numeric", minute: "numeric", second: "numeric" },
    });
    if (formats.size >= FORMATS_MAX) {
      formats.clear();
    }
    formats.set(zone, format);
  }
  const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
  const year = parts.get("era") === "BC" ? 1 - part("year") : part("year");
  const shown = new Date(0);
  shown.setUTCFullYear(year, part("month") - 1, part("day"));
  shown.setUTCHours(part("hour"), part("minute"), part("second"), time.getUTCMilliseconds());
  return shown;
}

function parseTime(text: string): Date {
  const { seconds, nanos } = fromJson(TimestampSchema, text);
  return dateOf(Number(seconds) * 1000 + Math.floor(nanos / 1e6));
}

function dateOf(ms: number): Date {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) {
    throw new RangeError("the time is out of range");
  }
  return date;
}
