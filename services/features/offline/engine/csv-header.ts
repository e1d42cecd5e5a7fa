// The header line of a CSV file. It is read here and not by DuckDB, which would guess whether there
// is one, and give columns of one name other names.

/** A header line. */
export interface CsvHeader {
  readonly names: readonly string[];
  /** Where its line end stands in the text. */
  readonly end: number;
}

/** The first record as names, by RFC 4180; undefined when the text ends before a quote does. */
export function parseCsvHeader(text: string): CsvHeader | undefined {
  const names: string[] = [];
  let at = 0;
  while (true) {
    const cell = text[at] === '"' ? quotedCell(text, at) : plainCell(text, at);
    if (cell === undefined) {
      return undefined;
    }
    names.push(cell.value);
    at = cell.end;
    if (text[at] !== ",") {
      return { names, end: at };
    }
    at++;
  }
}

interface HeaderCell {
  readonly value: string;
  /** Where the comma or the line's end stands. */
  readonly end: number;
}

function plainCell(text: string, start: number): HeaderCell {
  const length = text.slice(start).search(/[,\r\n]/);
  const end = length < 0 ? text.length : start + length;
  return { value: text.slice(start, end), end };
}

function quotedCell(text: string, start: number): HeaderCell | undefined {
  let value = "";
  let at = start + 1;
  while (true) {
    const quote = text.indexOf('"', at);
    if (quote < 0) {
      return undefined;
    }
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') {
      return { value, end: quote + 1 };
    }
    value += '"';
    at = quote + 2;
  }
}
