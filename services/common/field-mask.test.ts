import { describe, expect, it } from "vitest";
import { maskedPaths } from "./field-mask.ts";

describe("field-mask", () => {
  const allowed = ["description", "tags"] as const;

  it.each([
    [undefined, ["description", "tags"]],
    [{ paths: [] }, ["description", "tags"]],
    [{ paths: ["*"] }, ["description", "tags"]],
    [{ paths: ["tags", "tags"] }, ["tags"]],
  ])("reads %j", (mask, expected) => {
    expect([...maskedPaths(mask, allowed)]).toEqual(expected);
  });

  it("names every path that cannot be updated", () => {
    expect(() => maskedPaths({ paths: ["state", "tags", "uid"] }, allowed)).toThrow(
      'update_mask may name description, tags; got "state", "uid".',
    );
  });

  it("takes another set for the empty mask when told so", () => {
    expect([...maskedPaths(undefined, ["a", "a.b"], ["a"])]).toEqual(["a"]);
  });
});
