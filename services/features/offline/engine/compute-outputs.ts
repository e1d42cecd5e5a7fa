// On-demand features of joined rows: the same code that computes them for online reads, over blocks
// of rows.

import type { DuckDBConnection } from "@duckdb/node-api";
import { compileTransform } from "../../definitions/expression.ts";
import type { ReadPlan, Transform } from "../../definitions/read-plan.ts";
import type { Cell, Cells, Field, RowBatch } from "../../value.ts";
import type { EngineProgress, StatusCounts } from "../engine-tasks.ts";
import { sideBySide } from "./point-in-time.ts";
import { appendCells, cellSelect } from "./read-rows.ts";
import { identifier } from "./sql.ts";
import { stageRows } from "./stage-rows.ts";

/** Rows whose inputs and results are in memory at once. */
const BLOCK_ROWS = 16_384;
const COMPUTED = "computed";

/** What is computed from. */
export interface ComputeInput {
  readonly plan: ReadPlan;
  readonly rows: number;
  /** Tables beside the entity table that have the outputs of views as `o<output>`. */
  readonly tables: readonly string[];
}

/** What was computed. */
export interface ComputedOutputs {
  /**
   * A table (SQL, to stand in sideBySide) with each on-demand output as `o<output>`, and as
   * `x<output>` whether its expression failed. Undefined: the plan has no such outputs.
   */
  readonly table: string | undefined;
  /** By output; a failed one counts as a null value. */
  readonly counts: ReadonlyMap<number, StatusCounts>;
}

/** Computes every on-demand output of the plan. */
export async function computeOutputs(
  connection: DuckDBConnection,
  input: ComputeInput,
  progress: (progress: EngineProgress) => void,
): Promise<ComputedOutputs> {
  const { plan, rows } = input;
  const outputs = computedFields(plan);
  if (outputs.length === 0) {
    return { table: undefined, counts: new Map() };
  }
  const present = new Map(outputs.map(({ output }) => [output, 0]));
  const failed = outputs.map(({ output }): Field => ({ name: `x${output}`, type: "BOOL" }));
  const features = [...outputs.map(({ field }) => field), ...failed];
  const select = await stageRows(connection, {
    table: COMPUTED,
    shape: { joinKeys: [], features },
    batches: computeBlocks(connection, { ...input, present }, progress),
  });
  const names = features.map(({ name }) => identifier(name)).join(", ");
  await connection.run(`CREATE TEMP VIEW ${COMPUTED}_outputs AS SELECT ${names} FROM (${select})`);
  const counts = [...present].map(([output, count]): [number, StatusCounts] => [
    output,
    { present: count, nullValue: rows - count, notFound: 0, outsideMaxAge: 0 },
  ]);
  return { table: `${COMPUTED}_outputs`, counts: new Map(counts) };
}

function computedFields(
  plan: ReadPlan,
): readonly { readonly output: number; readonly field: Field }[] {
  return plan.outputs.flatMap(({ from, type }, output) => {
    return from.kind === "transform" ? [{ output, field: { name: `o${output}`, type } }] : [];
  });
}

async function* computeBlocks(
  connection: DuckDBConnection,
  input: ComputeInput & { readonly present: Map<number, number> },
  progress: (progress: EngineProgress) => void,
): AsyncGenerator<RowBatch> {
  const { plan, rows, tables } = input;
  const columns = inputColumns(plan);
  for (let firstRow = 0; firstRow < rows; firstRow += BLOCK_ROWS) {
    progress({ phase: "computing", done: firstRow, total: rows, unit: "rows" });
    const count = Math.min(BLOCK_ROWS, rows - firstRow);
    const from = sideBySide(tables, { firstRow, rows: count });
    const cells = await readBlock(connection, columns, from);
    const features = computeBlock(plan, cells, count);
    for (const output of input.present.keys()) {
      const values = features[`o${output}`] ?? [];
      const found = values.reduce<number>((sum, cell) => sum + (cell === null ? 0 : 1), 0);
      input.present.set(output, (input.present.get(output) ?? 0) + found);
    }
    const times = new Array<number>(count).fill(0);
    yield { rows: count, keys: {}, features, eventUs: times, createdUs: times };
  }
}

/** The columns of the join that expressions name: request columns `q...`, outputs `o...`. */
function inputColumns(plan: ReadPlan): readonly Field[] {
  const columns = plan.transforms.flatMap(({ inputs }) =>
    inputs.flatMap(({ from, index }): Field[] => {
      const request = plan.requestColumns[index];
      const output = plan.outputs[index];
      if (from === "request") {
        return request === undefined ? [] : [{ name: `q${index}`, type: request.type }];
      }
      const isView = output?.from.kind === "view";
      return isView ? [{ name: `o${index}`, type: output.type }] : [];
    }),
  );
  return [...new Map(columns.map((column) => [column.name, column])).values()];
}

async function readBlock(
  connection: DuckDBConnection,
  columns: readonly Field[],
  from: string,
): Promise<ReadonlyMap<string, Cells>> {
  const cells = new Map(columns.map(({ name }): [string, Cell[]] => [name, []]));
  if (columns.length === 0) {
    return cells;
  }
  const result = await connection.run(`SELECT ${columns.map(cellSelect).join(", ")} FROM ${from}`);
  for (const chunk of await result.fetchAllChunks()) {
    for (const [index, list] of [...cells.values()].entries()) {
      appendCells(chunk, index, list);
    }
  }
  return cells;
}

/** All outputs that are computed, and whether each failed, by the names of their columns. */
function computeBlock(
  plan: ReadPlan,
  read: ReadonlyMap<string, Cells>,
  rows: number,
): Readonly<Record<string, Cells>> {
  const cells = new Map(read);
  const nothing: Cells = new Array<Cell>(rows).fill(null);
  const columnOf = ({ from, index }: Transform["inputs"][number]): Cells => {
    return cells.get(`${from === "request" ? "q" : "o"}${index}`) ?? nothing;
  };
  const features: Record<string, Cells> = {};
  for (const [index, { version, inputs }] of plan.transforms.entries()) {
    const results = compileTransform(version).evaluate(inputs.map(columnOf), rows);
    for (const [output, { from }] of plan.outputs.entries()) {
      const result = from.kind === "transform" ? results[from.feature] : undefined;
      if (from.kind !== "transform" || from.transform !== index || result === undefined) {
        continue;
      }
      const failed = new Array<Cell>(rows).fill(false);
      for (const row of result.failed) {
        failed[row] = true;
      }
      cells.set(`o${output}`, result.cells);
      features[`o${output}`] = result.cells;
      features[`x${output}`] = failed;
    }
  }
  return features;
}
