// `npm run bench`: measures the cases round by round, writes each measurement as a line of JSON and
// prints the table of what was to be reached. A missed target is a result, not a failure; the exit
// code is 1 when a contender failed, a server made errors or two servers gave different answers.

import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Case } from "./case.ts";
import { CASES } from "./cases.ts";
import { type Figures, judge, type Round, type Verdict } from "./figures.ts";
import { Lab } from "./lab.ts";
import { caseLines, caseNotes, conditions, headLines, verdictLines } from "./report.ts";
import { ROOT } from "./tools.ts";

const HELP = `npm run bench -- [options]
  --case <name>     only this case; may be given several times
  --rounds <n>      rounds of each case (5)
  --seconds <s>     measured time of each turn (3)
  --warm-up <s>     load before the measured time (1)
  --seed <n>        seed of the inputs (1)
  --python-inline   the Python server runs models on its event loop instead of a pool
  --list            names the cases`;

/** Round 0 warms the servers up (just-in-time compilers, pools) and is thrown away. */
const WARM_ROUND_SECONDS_MAX = 2;
/** Between runtimes that may use different instructions. */
const ANSWER_TOLERANCE = 1e-4;

interface Options {
  readonly cases: readonly Case[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly seed: number;
  readonly pythonInline: boolean;
}

interface CaseResult {
  readonly one: Case;
  readonly rounds: readonly Round[];
  readonly verdicts: readonly Verdict[];
  readonly faults: readonly string[];
}

const options = readOptions();
if (options !== undefined) {
  process.exitCode = await bench(options);
}

async function bench(given: Options): Promise<number> {
  const { cases, rounds, seconds, warmUp, seed, pythonInline } = given;
  const found = conditions({ rounds, seconds, warmUp, seed });
  const file = await resultsFile();
  const write = (line: object) => appendFile(file, `${JSON.stringify(line)}\n`);
  await write({ kind: "conditions", ...found });
  console.log(headLines(found).join("\n"));
  const results: CaseResult[] = [];
  await using lab = await Lab.open({ pythonInline });
  for (const one of cases) {
    const result = await measureCase(one, lab, given, write);
    results.push(result);
    console.log(["", ...caseLines(one, result.rounds)].join("\n"));
  }
  const notes = results.flatMap(({ one, rounds, faults }) => [
    ...caseNotes(one, rounds),
    ...faults,
  ]);
  for (const { one, verdicts } of results) {
    for (const { check, value, values, met } of verdicts) {
      const { what, unit, bound, target } = check;
      await write({ kind: "check", case: one.name, what, unit, bound, target, value, values, met });
    }
  }
  console.log(["", ...verdictLines(results), "", ...lab.notes, ...notes].join("\n"));
  return results.some(({ faults }) => faults.length > 0) ? 1 : 0;
}

async function measureCase(
  one: Case,
  lab: Lab,
  given: Options,
  write: (line: object) => Promise<void>,
): Promise<CaseResult> {
  const rounds: Round[] = [];
  const faults = new Set<string>();
  for (let number = 0; number <= given.rounds; number++) {
    const warming = number === 0;
    const seconds = warming ? Math.min(WARM_ROUND_SECONDS_MAX, given.seconds) : given.seconds;
    const round = new Map<string, Figures>();
    // Who goes first changes, so that none always follows the same neighbour.
    const shift = number % one.contenders.length;
    for (const contender of [...one.contenders.slice(shift), ...one.contenders.slice(0, shift)]) {
      progress(`${one.name}: round ${number} of ${given.rounds}, ${contender.name}`);
      const span = { seconds, warmUp: given.warmUp, seed: given.seed };
      const figures = await contender.measure({ lab, span }).catch((error: Error) => {
        faults.add(`${one.name}: ${contender.name} failed: ${error.message}`);
        return undefined;
      });
      if (figures !== undefined) {
        round.set(contender.name, figures);
        const at = new Date().toISOString();
        const names = { case: one.name, round: number, contender: contender.name };
        await write({ kind: warming ? "warm-up" : "measurement", ...names, at, ...figures });
      }
    }
    findFaults(one, round, faults);
    if (!warming) {
      rounds.push(round);
    }
  }
  progress("");
  const verdicts = one.checks.map((check) => judge(check, rounds));
  return { one, rounds, verdicts, faults: [...faults] };
}

/** Errors, and servers that disagree on the answer to the first request. */
function findFaults(one: Case, round: Round, faults: Set<string>): void {
  const answers: (readonly [string, readonly number[]])[] = [];
  for (const [name, { errors = 0, firstError, output }] of round) {
    if (errors > 0) {
      faults.add(`${one.name}: ${name} made errors: ${firstError}`);
    }
    if (output) {
      answers.push([name, output]);
    }
  }
  for (const [name, output] of answers.slice(1)) {
    const [first, expected] = answers[0]!;
    const same = (value: number, i: number) => Math.abs(value - expected[i]!) <= ANSWER_TOLERANCE;
    if (output.length !== expected.length || !output.every(same)) {
      faults.add(`${one.name}: ${name} answered ${output}, ${first} answered ${expected}`);
    }
  }
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      case: { type: "string", multiple: true },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string", default: "1" },
      seed: { type: "string", default: "1" },
      "python-inline": { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || values.list) {
    const names = CASES.map(({ name, title }) => `${name.padEnd(18)}${title}`);
    console.log(values.help ? HELP : names.join("\n"));
    return undefined;
  }
  const wanted = values.case ?? CASES.map(({ name }) => name);
  const unknown = wanted.filter((name) => !CASES.some((one) => one.name === name));
  if (unknown.length > 0) {
    throw new Error(`No case ${unknown.join(", ")}; --list names them.`);
  }
  return {
    cases: CASES.filter(({ name }) => wanted.includes(name)),
    rounds: positive("--rounds", values.rounds),
    seconds: positive("--seconds", values.seconds),
    warmUp: positive("--warm-up", values["warm-up"]),
    seed: positive("--seed", values.seed),
    pythonInline: values["python-inline"],
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new Error(`${name} is ${JSON.stringify(text)}; expected a number above 0.`);
  }
  return value;
}

async function resultsFile(): Promise<string> {
  const folder = join(ROOT, "test", "bench", "results");
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${new Date().toISOString().replaceAll(/[:.]/g, "-")}.jsonl`);
  console.log(`Results: ${file.slice(ROOT.length)}`);
  return file;
}

function progress(text: string): void {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[K${text}`);
  }
}
