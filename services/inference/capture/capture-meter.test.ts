import { describe, expect, it } from "vitest";
import { startTelemetry } from "../../common/telemetry/start.ts";
import { telemetryConfig } from "../../common/telemetry/testing.ts";
import { identity, idsOf, recordIds } from "../testing/captured.ts";
import { TestMonitoring } from "../testing/test-monitoring.ts";
import { makeCapture, until } from "../testing/use-capture.ts";

describe("the metrics of capture", () => {
  it("count what was sent, refused and dropped, and what waits", async () => {
    await using telemetry = await startTelemetry({
      serviceName: "plinth-test",
      serviceVersion: "1",
      config: telemetryConfig(),
    });
    const metric = async (name: string): Promise<number | undefined> => {
      const text = await telemetry.metricsText();
      const line = text
        .split("\n")
        .find((one) => one.startsWith(`plinth_inference_capture_${name}`));
      return line === undefined ? undefined : Number(line.split(" ").at(-1));
    };
    const monitoring = await TestMonitoring.start();
    monitoring.answer = async ({ batches }) => ({
      refusedRows: batches.some(({ sequence }) => sequence === 1n) ? 2n : 0n,
    });
    const capture = makeCapture(monitoring, { bytesMax: 2 ** 20 });
    const version = capture.version(identity);
    version.configure({ sampleRate: 1, maskedFields: [] });
    recordIds(version, idsOf("a", 5));
    await until(() => monitoring.rows === 5);
    recordIds(version, idsOf("b", 50_000));
    expect(await metric("waiting_bytes")).toBe(capture.waitingBytes);
    await capture.drain();
    const sent = (await metric("sent_rows_total")) ?? 0;
    expect(sent).toBe(monitoring.rows - 2);
    expect(await metric("refused_rows_total")).toBe(2);
    expect(await metric("dropped_rows_total")).toBe(50_005 - monitoring.rows);
    expect(monitoring.rows).toBeLessThan(50_005);
    const text = await telemetry.metricsText();
    expect(text).toContain('plinth_model_version="workspaces/w/models/m/versions/1"');
  });
});
