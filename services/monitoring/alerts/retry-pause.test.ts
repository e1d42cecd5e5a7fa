import { describe, expect, it } from "vitest";
import { retryPauseMs } from "./retry-pause.ts";

describe("retry-pause", () => {
  it("doubles up to an hour", () => {
    const pauses = [1, 2, 3, 10, 11, 12, 1000].map((tries) =>
      retryPauseMs({ firstMs: 5000, tries, random: 0 }),
    );
    const hour = 3_600_000;
    expect(pauses).toEqual([5000, 10_000, 20_000, 2_560_000, hour, hour, hour]);
  });

  it("is up to a quarter shorter by chance", () => {
    expect(retryPauseMs({ firstMs: 1000, tries: 1, random: 0.999 })).toBe(750);
    expect(retryPauseMs({ firstMs: 1000, tries: 1, random: 0.5 })).toBe(875);
  });

  it("heeds what the other side asks for, within an hour", () => {
    expect(retryPauseMs({ firstMs: 1000, tries: 1, random: 0.9, askedMs: 60_000 })).toBe(60_000);
    expect(retryPauseMs({ firstMs: 1000, tries: 1, random: 0, askedMs: 10 })).toBe(1000);
    expect(retryPauseMs({ firstMs: 1000, tries: 1, random: 0, askedMs: 1e12 })).toBe(3_600_000);
  });
});
