import { describe, expect, it } from "vitest";
import { createRpcMetrics } from "./rpc-metrics.ts";
import { startTelemetry } from "./start.ts";
import { telemetryConfig } from "./testing.ts";

async function scrape(record: () => void): Promise<string> {
  const config = telemetryConfig();
  const named = { serviceName: "plinth-test", serviceVersion: "1", config };
  await using telemetry = await startTelemetry(named);
  record();
  return await telemetry.metricsText();
}

const INFER = 'rpc_system_name="grpc",rpc_method="inference.GRPCInferenceService/ModelInfer"';

describe("rpc-metrics", () => {
  it("counts and times calls by method and status, and those in progress", async () => {
    const text = await scrape(() => {
      const infer = createRpcMetrics("server").method("/inference.GRPCInferenceService/ModelInfer");
      for (const durationMs of [0.2, 3, 3]) {
        infer.begin();
        infer.end(0, durationMs);
      }
      infer.begin();
      infer.end(8, 0.05);
      infer.begin();
      infer.end(13, 20);
      infer.begin();
    });
    const of = (labels: string) => `{${INFER},${labels}}`;
    const name = "rpc_server_call_duration";
    expect(text).toContain(`${name}_count${of('rpc_status_code="OK"')} 3\n`);
    expect(text).toContain(`${name}_bucket${of('rpc_status_code="OK",le="0.00025"')} 1\n`);
    expect(text).toContain(`${name}_bucket${of('rpc_status_code="OK",le="0.005"')} 3\n`);
    expect(text).toContain(`${name}_count${of('rpc_status_code="RESOURCE_EXHAUSTED"')} 1\n`);
    const failed = of('rpc_status_code="INTERNAL",error_type="INTERNAL"');
    expect(text).toContain(`${name}_sum${failed} 0.02\n`);
    expect(text).toContain(`plinth_rpc_server_active_calls{${INFER}} 1\n`);
  });

  it("tells any failed call it made as an error, and takes unheard-of codes", async () => {
    const text = await scrape(() => {
      const metrics = createRpcMetrics("client");
      const other = metrics.method("/test.Service/Do");
      expect(metrics.method("/test.Service/Do")).toBe(other);
      other.begin();
      other.end(8, 1);
      other.begin();
      other.end(99, 1);
    });
    const of = (code: string) =>
      `{rpc_system_name="grpc",rpc_method="test.Service/Do",rpc_status_code="${code}",error_type="${code}"}`;
    expect(text).toContain(`rpc_client_call_duration_count${of("RESOURCE_EXHAUSTED")} 1\n`);
    expect(text).toContain(`rpc_client_call_duration_count${of("UNKNOWN")} 1\n`);
  });
});
