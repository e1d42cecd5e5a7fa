import { describe, expect, it } from "vitest";
import { entityKey, keyFault, keySetPrefix } from "./entity-key.ts";

const text = (cell: string, joinKey = "a") => ({ joinKey, type: "STRING", cell }) as const;

describe("entityKey", () => {
  it("says workspace, join keys and typed values", () => {
    expect(entityKey("default", [text("ATL", "airport")])).toBe("default/airport/sATL");
    const parts = [{ joinKey: "at", type: "TIMESTAMP", cell: -5 } as const, text("x", "b")];
    expect(entityKey("w", parts)).toBe("w/at,b/t-5/sx");
  });

  it("keeps apart what is not the same", () => {
    const ids = [
      entityKey("w", [text("1")]),
      entityKey("w", [{ joinKey: "a", type: "INT64", cell: 1 }]),
      entityKey("w", [{ joinKey: "a", type: "TIMESTAMP", cell: 1 }]),
      entityKey("w", [text("1", "b")]),
      entityKey("v", [text("1")]),
      entityKey("w", [text("")]),
      entityKey("w", [text("é")]),
      entityKey("w", [text("e\u0301")]),
      entityKey("w", [text("x/sy"), text("z", "b")]),
      entityKey("w", [text("x"), text("y/sz", "b")]),
      entityKey("w", [text("%2F")]),
      entityKey("w", [text("/")]),
      entityKey("w", [text("\0")]),
      entityKey("w", [{ joinKey: "a", type: "INT64", cell: 2n ** 62n }]),
      entityKey("w", [{ joinKey: "a", type: "INT64", cell: 2n ** 62n + 1n }]),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every((id) => !id.includes("\0"))).toBe(true);
  });

  it("takes INT32 and INT64 of one value for the same", () => {
    const id = (type: "INT32" | "INT64") => entityKey("w", [{ joinKey: "a", type, cell: 7 }]);
    expect(id("INT32")).toBe(id("INT64"));
  });

  it("fits long values and names into an id, each its own", () => {
    const long = "漢".repeat(170);
    const many = Array.from({ length: 8 }, (_, index) => text(long, `k${index}${"x".repeat(60)}`));
    const id = entityKey("w".repeat(63), many);
    expect(id.length).toBeLessThan(1_024);
    const other = many.with(7, { ...many[7]!, cell: `${"漢".repeat(169)}字` });
    expect(entityKey("w".repeat(63), other)).not.toBe(id);
    const names = many.map((part) => part.joinKey);
    expect(id.startsWith(keySetPrefix("w".repeat(63), names))).toBe(true);
  });

  it("refuses what cannot be a join key", () => {
    expect(() => entityKey("w", [{ joinKey: "a", type: "STRING", cell: null }])).toThrow(
      'Join key "a" has no value',
    );
    expect(() => entityKey("w", [text("é".repeat(257))])).toThrow("has 514 bytes");
    expect(() => entityKey("w", [{ joinKey: "a", type: "DOUBLE", cell: 1 }])).toThrow("is DOUBLE");
    expect(keyFault("STRING", "é".repeat(256))).toBeUndefined();
  });
});
