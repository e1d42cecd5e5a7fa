import { describe, expect, it } from "vitest";
import { FailedPrecondition } from "../errors/domain-error.ts";
import { assertListenAllowed, isLoopback } from "./listen.ts";

describe("listen", () => {
  it.each([
    ["127.0.0.1", true],
    ["127.8.9.10", true],
    ["::1", true],
    ["[::1]", true],
    ["::ffff:127.0.0.1", true],
    ["LOCALHOST", true],
    ["0.0.0.0", false],
    ["::", false],
    ["", false],
    ["128.0.0.1", false],
    ["::ffff:10.0.0.1", false],
    ["10.0.0.5", false],
    ["127.0.0.1.example.com", false],
    ["localhost.example.com", false],
    ["plinth.internal", false],
  ])("%s is loopback: %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });

  it("refuses an outside address until a key exists, and says what to do", () => {
    const listen = () => assertListenAllowed({ host: "0.0.0.0", anyKey: false });
    expect(listen).toThrow(FailedPrecondition);
    expect(listen).toThrow(/0\.0\.0\.0.*plinth keys create.*127\.0\.0\.1/);
    expect(() => assertListenAllowed({ host: "0.0.0.0", anyKey: true })).not.toThrow();
    expect(() => assertListenAllowed({ host: "127.0.0.1", anyKey: false })).not.toThrow();
  });
});
