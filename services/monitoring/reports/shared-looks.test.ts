import { describe, expect, it } from "vitest";
import { SharedLooks } from "./shared-looks.ts";

const HOUR_MS = 3_600_000;

function counter() {
  let reads = 0;
  return { reads: () => reads, read: async () => ++reads };
}

describe("SharedLooks", () => {
  it("reads once for all who ask within the time, also while it reads", async () => {
    const looks = new SharedLooks();
    const { read, reads } = counter();
    const asked = Array.from({ length: 5 }, () => looks.get("a", HOUR_MS, read));
    expect(await Promise.all(asked)).toEqual([1, 1, 1, 1, 1]);
    expect(await looks.get("a", HOUR_MS, read)).toBe(1);
    expect(await looks.get("b", HOUR_MS, read)).toBe(2);
    expect(reads()).toBe(2);
  });

  it("reads again what is too old, was forgotten or failed", async () => {
    const looks = new SharedLooks();
    const { read } = counter();
    expect(await looks.get("a", HOUR_MS, read)).toBe(1);
    expect(await looks.get("a", -1, read)).toBe(2);
    looks.clear();
    expect(await looks.get("a", HOUR_MS, read)).toBe(3);
    const failing = () => Promise.reject(new Error("away"));
    await expect(looks.get("c", HOUR_MS, failing)).rejects.toThrow("away");
    expect(await looks.get("c", HOUR_MS, read)).toBe(4);
  });

  it("keeps no more than a thousand", async () => {
    const looks = new SharedLooks();
    const { read } = counter();
    for (let i = 0; i <= 1000; i++) {
      await looks.get(`${i}`, HOUR_MS, read);
    }
    expect(await looks.get("1", HOUR_MS, read)).toBe(2);
    expect(await looks.get("0", HOUR_MS, read)).toBe(1002);
  });
});
