// Stock clients against a whole mesh: Triton's for Python over gRPC and HTTP, gRPC's for Python, and
// grpcurl. They are other people's programs, so what they accept is the protocol.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { upBanner } from "../../services/mesh/banner.ts";
import { ROOT, shareMesh } from "../e2e/use-mesh.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 120_000;

const python = process.env.PLINTH_WIRE_PYTHON;
const grpcurl = (process.env.PATH ?? "")
  .split(":")
  .map((folder) => join(folder, "grpcurl"))
  .find((path) => existsSync(path));
/** What CI installs must be there in CI; on a laptop its absence is a visible skip. */
const required = process.env.CI === "true";

const shared = shareMesh();

beforeAll(() => shared.current.seed());

/** Runs the checks of a script here; none may fail, and there must be as many as it is known for. */
async function check(script: string, args: readonly string[], checksMin: number): Promise<void> {
  const path = join(ROOT, "test", "wire", script);
  const { stdout } = await run(python ?? "", [path, ...args]).catch(
    (error: { stdout: string; stderr: string }) => {
      throw new Error(`${error.stdout}\n${error.stderr}`);
    },
  );
  expect(stdout).not.toMatch(/FAIL/);
  expect(stdout.match(/^ok /gm)?.length).toBeGreaterThanOrEqual(checksMin);
}

async function curl(args: readonly string[]): Promise<string> {
  const { stdout } = await run(grpcurl ?? "grpcurl", ["-plaintext", ...args]);
  return stdout;
}

describe("stock clients", () => {
  it.skipIf(python === undefined && !required)(
    "tritonclient for Python, over gRPC and HTTP",
    async () => {
      const { grpcAddress, webUrl } = shared.current;
      const web = webUrl.replace("http://", "");
      await check("oip_conformance.py", ["--grpc", grpcAddress, "--http", web], 20);
    },
    TIMEOUT_MS,
  );

  it.skipIf(python === undefined && !required)(
    "grpcio for Python, over the feature store",
    async () => {
      const args = ["--grpc", shared.current.grpcAddress, "--workspace", "wire"];
      await check("features_conformance.py", args, 11);
    },
    TIMEOUT_MS,
  );

  it.skipIf(grpcurl === undefined && !required)("grpcurl finds every service", async () => {
    const listed = (await curl([shared.current.grpcAddress, "list"])).trim().split("\n");
    expect(listed).toEqual([
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "inference.GRPCInferenceService",
      "plinth.features.v1.FeatureRegistryService",
      "plinth.features.v1.FeatureStoreService",
      "plinth.features.v1.JobService",
      "plinth.inference.v1.InferenceService",
      "plinth.monitoring.v1.AlertService",
      "plinth.monitoring.v1.CaptureService",
      "plinth.monitoring.v1.MonitoringService",
      "plinth.proofs.v1.CircuitService",
      "plinth.proofs.v1.ProofService",
      "plinth.proofs.v1.ReceiptService",
      "plinth.registry.v1.ApiKeyService",
      "plinth.registry.v1.DeploymentService",
      "plinth.registry.v1.ModelService",
      "plinth.registry.v1.WorkspaceService",
    ]);
    const service = "plinth.registry.v1.DeploymentService";
    expect(await curl([shared.current.grpcAddress, "describe", service])).toContain(
      "RollbackDeployment",
    );
  });

  it.skipIf(grpcurl === undefined && !required)("the printed grpcurl line predicts", async () => {
    const banner = upBanner(shared.current.mesh, { open: true, example: true }).join("\n");
    const line = /^ *(grpcurl [\s\S]*?)$(?=\n\n)/m.exec(banner)?.[1] ?? "";
    const shell = `${line.replace("grpcurl", grpcurl ?? "grpcurl")}`;
    const { stdout } = await run("sh", ["-c", shell]);
    expect(JSON.parse(stdout)).toMatchObject({
      modelVersion: "workspaces/default/models/flights-delay/versions/1",
      predictions: [{ outputs: { delay_minutes: [expect.closeTo(6.7218, 3)] } }],
    });
  });

  it.skipIf(grpcurl === undefined && !required)("grpcurl reads features", async () => {
    const request = {
      parent: "workspaces/default",
      features: ["airport_delays:flights_24h"],
      entities: [{ name: "airport", strings: ["ATL", "nowhere"] }],
    };
    const method = "plinth.features.v1.FeatureStoreService/GetOnlineFeatures";
    const read = await curl(["-d", JSON.stringify(request), shared.current.grpcAddress, method]);
    expect(JSON.parse(read)).toMatchObject({
      results: [
        {
          values: { name: "flights_24h" },
          statuses: ["FIELD_STATUS_PRESENT", "FIELD_STATUS_NOT_FOUND"],
        },
      ],
    });
  });

  it.skipIf(grpcurl === undefined && !required)("grpcurl shows what was wrong", async () => {
    const call = [
      "-d",
      '{"deployment":"flights","rows":[{"hour":"noon"}]}',
      shared.current.grpcAddress,
      "plinth.inference.v1.InferenceService/Predict",
    ];
    const failed = await curl(call).catch((error: { stderr: string }) => error.stderr);
    expect(failed).toContain("Code: InvalidArgument");
    expect(failed).toContain("rows[0].hour");
    expect(failed).toContain("google.rpc.BadRequest");
  });
});
