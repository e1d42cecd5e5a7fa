import { describe, expect, it } from "vitest";
import type { Document } from "./port.ts";
import { insertIfNew } from "./resource.ts";
import { useStore } from "./testing.ts";

interface Thing extends Document {
  readonly name: string;
}

describe("insertIfNew", () => {
  it("stores what is new and leaves alone what is there", async () => {
    const store = await useStore();
    const things = await store.collection<Thing>({
      name: "things",
      indexes: [{ keys: { name: 1 }, unique: true }],
    });
    expect(await insertIfNew(things, { _id: "a", name: "x" })).toBe(true);
    expect(await insertIfNew(things, { _id: "a", name: "y" })).toBe(false);
    expect(await insertIfNew(things, { _id: "b", name: "x" })).toBe(false);
    expect(await things.findOne({ _id: "a" })).toMatchObject({ name: "x", version: 1 });
    expect(await things.countDocuments({})).toBe(1);
  });

  it("does not take another failure for a document that is there", async () => {
    const store = await useStore();
    const things = await store.collection<Thing>({ name: "things", indexes: [] });
    const insertion = insertIfNew(things, { _id: "", name: "x" });
    await expect(insertion).rejects.toMatchObject({ kind: "InvalidArgument" });
  });
});
