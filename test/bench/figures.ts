// What one measurement says and how the measurements of all rounds become the rows of the table.

/** Figures of one contender in one round. Absent: not of this kind of measurement. */
export interface Figures {
  /** Requests, messages or runs a second. */
  readonly rate?: number;
  readonly rowRate?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
  readonly errors?: number;
  readonly firstError?: string;
  /** Processor time in cores: of the server (or raw) process, the load, and all else. */
  readonly serverCores?: number;
  readonly loadCores?: number;
  readonly otherCores?: number;
  /** Processor time of the process that logs receipts. */
  readonly logCores?: number;
  /** The first values of the answer to the first request. */
  readonly output?: readonly number[] | null;
  /** Event loop delay of the serving thread. */
  readonly loopDelayP99Ms?: number;
  readonly residentMb?: number;
  /** How much resident memory grew. */
  readonly growthMb?: number;
  /** Stored bytes of a monitoring window. */
  readonly windowKb?: number;
  /** Largest relative difference to the numbers of others. */
  readonly worstDistance?: number;
  readonly worstPValue?: number;
  /** How long the work took. */
  readonly seconds?: number;
  /** Of a circuit. */
  readonly constraints?: number;
  readonly publicValues?: number;
  readonly compileMs?: number;
  readonly setupMs?: number;
  /** Witness and proof, without the verification. */
  readonly proveMs?: number;
  readonly verifyMs?: number;
  readonly proofBytes?: number;
  /** Of a call of the contract, without that of the transaction. */
  readonly gas?: number;
  readonly codeBytes?: number;
}

/** The figures of one round by contender. */
export type Round = ReadonlyMap<string, Figures>;

/** One thing to reach. */
export interface Check {
  /** Completes "Plinth's rate, ...": "of the bare echo server's". */
  readonly what: string;
  /** Empty: a count. */
  readonly unit: "x" | "ms" | "MB" | "kB" | "/s" | "s" | "relative" | "";
  readonly target: number;
  readonly bound: "at least" | "at most" | "under";
  /** The measured value of one round; undefined where a contender is missing. */
  readonly value: (round: Round) => number | undefined;
}

/** How a check came out. */
export interface Verdict {
  readonly check: Check;
  /** Median over the rounds. Undefined: a contender is missing. */
  readonly value: number | undefined;
  readonly values: readonly number[];
  readonly met: boolean | undefined;
}

/** Judges a check by the median of its value in each round. */
export function judge(check: Check, rounds: readonly Round[]): Verdict {
  const values = rounds.map(check.value).filter((v) => v !== undefined && !Number.isNaN(v));
  if (values.length === 0) {
    return { check, value: undefined, values: [], met: undefined };
  }
  const value = median(values as number[]);
  const met =
    check.bound === "at least"
      ? value >= check.target
      : check.bound === "under"
        ? value < check.target
        : value <= check.target;
  return { check, value, values: values as number[], met };
}

/** The middle, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A figure of one contender divided by that of another, in the same round. */
export function ratio(
  over: readonly [contender: string, figure: "rate" | "rowRate"],
  under: readonly [contender: string, figure: "rate" | "rowRate"],
): (round: Round) => number | undefined {
  return (round) => {
    const [a, b] = [round.get(over[0])?.[over[1]], round.get(under[0])?.[under[1]]];
    return a === undefined || b === undefined ? undefined : a / b;
  };
}

/** A figure of one contender less that of another, in the same round. */
export function difference(
  of: string,
  less: string,
  name: "p50Ms" | "p99Ms",
): (round: Round) => number | undefined {
  return (round) => {
    const [a, b] = [round.get(of)?.[name], round.get(less)?.[name]];
    return a === undefined || b === undefined ? undefined : a - b;
  };
}

/** A figure of one contender by itself. */
export function figure(
  of: string,
  name: "rate" | "rowRate" | "p99Ms" | "seconds" | "residentMb" | "growthMb",
): (round: Round) => number | undefined {
  return (round) => round.get(of)?.[name];
}

/** A check that is met by this much or more. */
export function atLeast(
  target: number,
  what: string,
  value: Check["value"],
  unit: Check["unit"] = "x",
): Check {
  return { what, unit, target, bound: "at least", value };
}

/** A check that is met by this much or less. */
export function atMost(
  target: number,
  what: string,
  value: Check["value"],
  unit: Check["unit"] = "ms",
): Check {
  return { what, unit, target, bound: "at most", value };
}
