import { describe, expect, it } from "vitest";
import { InvalidArgument } from "./errors/domain-error.ts";
import { decodePageToken, encodePageToken, pageSizeOf } from "./page-token.ts";

const call = ["ListModels", "workspaces/w", 'tags.a = "b"', "name"];

describe("page-token", () => {
  it("gives back the cursor it was made from", () => {
    const token = encodePageToken(call, ["é", 3, null]);
    expect(decodePageToken(call, token)).toEqual(["é", 3, null]);
  });

  it("takes the empty token for the first page", () => {
    expect(decodePageToken(call, "")).toBeUndefined();
  });

  it("rejects a token made for another filter", () => {
    const token = encodePageToken(call, ["a"]);
    const other = ["ListModels", "workspaces/w", "", "name"];
    expect(() => decodePageToken(other, token)).toThrow(/another parent, filter or order/);
  });

  it.each(["x", "bnVsbA", "W10", "WzFd", "W1tdXQ", "a".repeat(5000)])(
    "rejects the damaged token %.20s",
    (token) => {
      expect(() => decodePageToken(call, token)).toThrow(InvalidArgument);
    },
  );

  it("is not confused by parts that run together", () => {
    const token = encodePageToken(["a", "b,c"], ["x"]);
    expect(() => decodePageToken(["a,b", "c"], token)).toThrow(InvalidArgument);
  });

  it.each([
    [0, 50],
    [1, 1],
    [1000, 1000],
    [1001, 1000],
  ])("reads page_size %i as %i", (asked, expected) => {
    expect(pageSizeOf(asked)).toBe(expected);
  });

  it("refuses a negative page_size", () => {
    expect(() => pageSizeOf(-1)).toThrow(/page_size/);
  });
});
