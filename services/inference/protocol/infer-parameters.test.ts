import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { decoded, type RequestInit } from "../testing/requests.ts";
import { readInferOptions } from "./infer-parameters.ts";
import { Violations } from "./violations.ts";

describe("infer-parameters", () => {
  const read = (parameters: RequestInit["parameters"]) => {
    const violations = new Violations();
    const options = readInferOptions(
      decoded({ parameters: parameters ?? {} }).parameters,
      violations,
    );
    violations.throwIfAny(ErrorReason.INVALID_FIELD);
    return options;
  };
  const int = (value: bigint) => ({ parameterChoice: { case: "int64Param", value } as const });
  const text = (value: string) => ({ parameterChoice: { case: "stringParam", value } as const });
  const bool = (value: boolean) => ({ parameterChoice: { case: "boolParam", value } as const });

  it("reads priority, timeout and routing key and lets others through", () => {
    expect(
      read({
        priority: { parameterChoice: { case: "uint64Param", value: 2n } },
        timeout: int(1500n),
        routing_key: text("user-7"),
        event_time: text("2001-01-31T10:30:00.5+01:00"),
        context: text("order é"),
        mine: text("x"),
        binary_data_output: bool(true),
        headers: text("x"),
        sequence_id: int(0n),
        sequence_start: bool(false),
        triton_enable_empty_final_response: bool(true),
      }),
    ).toEqual({
      priority: 2,
      timeoutMs: 1.5,
      routingKey: "user-7",
      eventUs: 980_933_400_500_000,
      context: Buffer.from("order é"),
      finalResponse: true,
    });
    const empty = { routing_key: text(""), event_time: text(""), context: text("") };
    expect(read({ priority: int(0n), timeout: int(0n), ...empty })).toEqual({
      priority: 5,
      timeoutMs: undefined,
      routingKey: undefined,
      eventUs: undefined,
      context: undefined,
      finalResponse: false,
    });
  });

  it.each<[string, RequestInit["parameters"], string]>([
    [
      "priority",
      { priority: text("1") },
      'parameter "priority" must be int64_param or uint64_param',
    ],
    ["priority of 10", { priority: int(10n) }, "expected 1 (first) to 9"],
    ["timeout", { timeout: bool(true) }, 'parameter "timeout" must be int64_param (microseconds)'],
    ["negative timeout", { timeout: int(-1n) }, "expected microseconds from 0"],
    ["routing key", { routing_key: int(1n) }, "must be string_param; got int64_param"],
    ["event time", { event_time: int(1n) }, "must be string_param; got int64_param"],
    ["date", { event_time: text("2001-01-31") }, 'is "2001-01-31"; expected a time from 1900'],
    ["time too late", { event_time: text("2200-01-01T00:00:00Z") }, "from 1900 to 2199"],
    ["time too early", { event_time: text("1899-12-31T23:59:59Z") }, "from 1900 to 2199"],
    ["context", { context: int(1n) }, "must be string_param; got int64_param"],
    ["long context", { context: text("é".repeat(129)) }, "has 258 bytes of UTF-8; expected 256"],
    ["empty parameter", { routing_key: {} }, "must be string_param; got no value"],
    ["sequence", { sequence_id: int(7n) }, "sequences are not supported"],
    ["named sequence", { sequence_id: text("s") }, "sequences are not supported"],
    ["sequence start", { sequence_start: bool(true) }, "sequences are not supported"],
    ["sequence end of wrong type", { sequence_end: int(1n) }, "must be bool_param"],
    ["reserved name", { triton_x: bool(true) }, 'begin with "triton_" are reserved'],
    ["shared memory", { shared_memory_offset: int(1n) }, "asks for shared memory"],
  ])("refuses a %s", (_, parameters, message) => {
    expect(() => read(parameters)).toThrow(message);
  });
});
