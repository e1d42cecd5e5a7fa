import { describe, expect, it } from "vitest";
import { Aborted } from "./errors/domain-error.ts";
import { etagOf, requireEtag } from "./etag.ts";

describe("etag", () => {
  it("changes with the version and with the resource", () => {
    const etags = [etagOf("u1", 1), etagOf("u1", 2), etagOf("u2", 1)];
    expect(new Set(etags).size).toBe(3);
    expect(etagOf("u1", 1)).toBe(etags[0]);
  });

  it("guards only when given", () => {
    requireEtag("", etagOf("u", 1), "workspaces/w");
    requireEtag(etagOf("u", 1), etagOf("u", 1), "workspaces/w");
    expect(() => requireEtag(etagOf("u", 1), etagOf("u", 2), "workspaces/w")).toThrow(Aborted);
  });
});
