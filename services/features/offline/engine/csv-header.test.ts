import { describe, expect, it } from "vitest";
import { parseCsvHeader } from "./csv-header.ts";

describe("csv-header", () => {
  it.each([
    ["a,b\n1,2", ["a", "b"]],
    ["a", ["a"]],
    ["", [""]],
    [",a,\r\n", ["", "a", ""]],
    ['"a,b","c""d","e\nf"\n', ["a,b", 'c"d', "e\nf"]],
    [' a , "b"\n', [" a ", ' "b"']],
  ])("reads %j", (text, names) => {
    expect(parseCsvHeader(text)?.names).toEqual(names);
  });

  it("tells where the header ends", () => {
    expect(parseCsvHeader('a,"b\n"\r\n1,2')?.end).toBe(6);
    expect(parseCsvHeader("a,b")?.end).toBe(3);
  });

  it("knows a quote that is not closed", () => {
    expect(parseCsvHeader('a,"b\n1,2')).toBeUndefined();
  });
});
