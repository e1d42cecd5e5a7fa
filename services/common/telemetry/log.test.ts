import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { newKeyId, newKeySecret } from "../auth/key-secret.ts";
import { NotFound } from "../errors/domain-error.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { createLogger, type LogLevel } from "./log.ts";
import { extractTrace } from "./propagation.ts";

function useLog(options: { level?: LogLevel; pretty?: boolean } = {}) {
  const lines: string[] = [];
  const log = createLogger({
    service: "registry",
    level: options.level ?? "info",
    pretty: options.pretty ?? false,
    write: (line) => void lines.push(line),
    clock: new FakeClock(),
  });
  return { log, lines, records: () => lines.map((line) => JSON.parse(line)) };
}

const traced = extractTrace((name) =>
  name === "traceparent" ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" : undefined,
);

describe("log", () => {
  it("writes one JSON object a line, with the ids of the trace", () => {
    const { log, lines } = useLog();
    log.with({ model: "m" }).info("Version\nready.", { version: 3, none: undefined }, traced);
    expect(lines).toEqual([
      '{"time":"2026-01-01T00:00:00.000Z","level":"info","service":"registry",' +
        '"message":"Version\\nready.","trace_id":"0af7651916cd43dd8448eb211c80319c",' +
        '"span_id":"b7ad6b7169203331","model":"m","version":3}\n',
    ]);
  });

  it.each([
    ["debug", ["debug", "info", "warn", "error"]],
    ["warn", ["warn", "error"]],
    ["off", []],
  ] as const)("at level %s writes %o", (level, written) => {
    const { log, records } = useLog({ level });
    for (const one of ["debug", "info", "warn", "error"] as const) {
      log.with({})[one]("event");
      expect(log.enabled(one)).toBe((written as readonly string[]).includes(one));
    }
    expect(records().map((record) => record.level)).toEqual(written);
  });

  it("tells an error with its reason, its stack and its causes", () => {
    const { log, records } = useLog();
    const options = { reason: ErrorReason.RESOURCE_NOT_FOUND, metadata: { name: "x" } };
    log.error("Failed.", { error: new NotFound("gone", { ...options, cause: new Error("disk") }) });
    expect(records()[0].error).toMatchObject({
      type: "NotFound",
      message: "gone",
      reason: "RESOURCE_NOT_FOUND",
      name: "x",
      stack: expect.stringContaining("log.test.ts"),
      cause: { type: "Error", message: "disk" },
    });
  });

  it.each([true, false])("never writes a secret (pretty: %s)", (pretty) => {
    const { log, lines } = useLog({ pretty });
    const secret = newKeySecret(newKeyId(0));
    log.info(`key ${secret} refused`, {
      error: new Error(`bad "Bearer ${secret}"`),
      headers: { Authorization: "Basic dXNlcjpodW50ZXIy", "x-service": "Bearer plm_hunter2" },
      deep: [{ note: `plk_${"x".repeat(40)}` }],
    });
    const text = lines.join("");
    expect(text).toContain(`plk_${secret.slice(4, 20)}_***`);
    expect(text).toContain("plm_***");
    for (const part of [secret.slice(21, 40), "hunter2", "dXNlcjpodW50ZXIy", "xxxx"]) {
      expect(text).not.toContain(part);
    }
    expect(lines).toHaveLength(1);
  });

  it("survives whatever it is given", () => {
    const { log, records, lines } = useLog();
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    log.info("cycle", { cycle });
    log.info("bytes", { tensor: new Float32Array(1000), big: 10n ** 20n });
    log.info("x".repeat(10_000), { level: "forged", time: "forged" });
    expect(records()[0].unloggable).toContain("circular");
    expect(records()[1]).toMatchObject({ tensor: "(4000 bytes)", big: "100000000000000000000" });
    expect(records()[2]).toMatchObject({ level: "info", time: "2026-01-01T00:00:00.000Z" });
    expect(lines[2]!.length).toBeLessThan(8500);
  });

  it("is one line for people on a terminal", () => {
    const { log, lines } = useLog({ pretty: true });
    log.warn("Store slow.\nRetrying.", { after: 250, model: "a b", path: "/x" }, traced);
    expect(lines[0]).toBe(
      "00:00:00.000 \u001b[33mwarn \u001b[0m registry: Store slow. | Retrying." +
        '\u001b[90m after=250 model="a b" path=/x trace_id=0af7651916cd43dd8448eb211c80319c ' +
        "span_id=b7ad6b7169203331\u001b[0m\n",
    );
  });
});
