// Stock clients against a whole mesh: Triton's for Python over gRPC and HTTP, and grpcurl. They are
// other people's programs, so what they accept is the protocol.

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

async function curl(args: readonly string[]): Promise<string> {
  const { stdout } = await run(grpcurl ?? "grpcurl", ["-plaintext", ...args]);
  return stdout;
}

describe("stock clients", () => {
  it.skipIf(python === undefined && !required)(
    "tritonclient for Python, over gRPC and HTTP",
    async () => {
      const script = join(ROOT, "test", "wire", "oip_conformance.py");
      const web = shared.current.webUrl.replace("http://", "");
      const { stdout } = await run(python ?? "", [
        script,
        "--grpc",
        shared.current.grpcAddress,
        "--http",
        web,
      ]).catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${error.stdout}\n${error.stderr}`);
      });
      expect(stdout).not.toMatch(/FAIL/);
      expect(stdout.trim().split("\n").length).toBeGreaterThan(20);
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
      "plinth.inference.v1.InferenceService",
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
