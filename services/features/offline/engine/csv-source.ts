// A CSV file as DuckDB is to read it: nothing guessed, everything text. DuckDB takes the first line
// end of a file for that of all lines, also one in the header's quotes or before it, and then loses
// rows; such a file is read from a copy with a plain header.

import { createReadStream, createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseCsvHeader } from "./csv-header.ts";
import { tableFault } from "./faults.ts";
import { literal } from "./sql.ts";
import { LINE_BYTES_MAX, type TableHead } from "./table-format.ts";

/** The reader holds a few of these for each thread. */
const BUFFER_BYTES = 4 * LINE_BYTES_MAX;

/** A CSV file that was looked at. */
export interface CsvSource {
  readonly names: readonly string[];
  /** A scan with the columns c0, c1, ... of type VARCHAR. */
  readonly scan: string;
}

/**
 * Reads the header.
 * @throws InvalidArgument when it is too long, not closed, or of another separator.
 */
export async function openCsvFile(
  head: TableHead,
  file: { readonly path: string; readonly scratchDir: string },
): Promise<CsvSource> {
  const blank = /^[\r\n]*/.exec(head.latin1)?.[0].length ?? 0;
  const line = head.latin1.slice(blank);
  const header = parseCsvHeader(line);
  if (header === undefined || !(head.whole || header.end < line.length)) {
    throw tableFault(
      "The header line of the CSV file is longer than 1 MiB, or has a quote that is not closed.",
    );
  }
  const names = header.names.map((name) => Buffer.from(name, "latin1").toString("utf8"));
  const other = [";", "\t", "|"].find((mark) => names.length === 1 && names[0]?.includes(mark));
  if (other !== undefined) {
    throw tableFault(
      `The CSV file seems to be separated by ${JSON.stringify(other)}; expected commas.`,
    );
  }
  const isPlain = blank === 0 && !/[\r\n]/.test(line.slice(0, header.end));
  const path = isPlain
    ? file.path
    : await withPlainHeader(file, {
        columns: names.length,
        restAt: head.bomBytes + blank + header.end,
      });
  return { names, scan: scanOf(path, names.length) };
}

function scanOf(path: string, columns: number): string {
  const types = Array.from({ length: columns }, (_, index) => `'c${index}': 'VARCHAR'`);
  return (
    `read_csv(${literal(path)}, auto_detect = false, header = true, ` +
    `columns = {${types.join(", ")}}, delim = ',', quote = '"', escape = '"', nullstr = '', ` +
    "strict_mode = true, null_padding = false, compression = 'none', " +
    `hive_partitioning = false, max_line_size = ${LINE_BYTES_MAX}, buffer_size = ${BUFFER_BYTES})`
  );
}

/** A copy of the file with the header "c0,c1,...", everything after it as it is. */
async function withPlainHeader(
  file: { readonly path: string; readonly scratchDir: string },
  header: { readonly columns: number; readonly restAt: number },
): Promise<string> {
  const copy = join(file.scratchDir, "table.csv");
  const names = Array.from({ length: header.columns }, (_, index) => `c${index}`);
  await writeFile(copy, names.join(","));
  const rest = createReadStream(file.path, { start: header.restAt });
  await pipeline(rest, createWriteStream(copy, { flags: "a" }));
  return copy;
}
