// What is refused where the registry says so, and what while it says nothing.

import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import { Workspace_Environment as Environment } from "../../../gen/plinth/registry/v1/workspace_pb.js";
import { WorkspaceService } from "../../../gen/plinth/registry/v1/workspace_service_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { notFound } from "../../common/documents/resource.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { Channel } from "../../common/rpc/client.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { addCircuit, request, rowsOfX, useProving, VERSION } from "./testing/use-proving.ts";

/** A registry of one version, which can be away, and a circuit of it. */
async function useGuarded() {
  const registry = {
    uid: "uid" as string | undefined,
    environment: Environment.DEVELOPMENT,
    isAway: false,
    asked: [] as string[],
  };
  const answer = <T>(name: string, value: T): T => {
    registry.asked.push(name);
    if (registry.isAway) {
      const reason = ErrorReason.DEPENDENCY_UNAVAILABLE;
      throw new Unavailable("The database is away.", { reason, retryAfterMs: 1 });
    }
    return value;
  };
  const getModelVersion = async ({ name }: { readonly name: string }) => {
    const { uid } = answer(name, registry);
    if (uid === undefined) {
      throw notFound(name);
    }
    return { name, uid };
  };
  const getWorkspace = async ({ name }: { readonly name: string }) =>
    answer(name, { name, environment: registry.environment });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [
      { service: ModelService, handlers: { getModelVersion }, codecs: {} },
      { service: WorkspaceService, handlers: { getWorkspace }, codecs: {} },
    ],
    authenticate: () => anonymous,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const clock = new FakeClock();
  const rig = await useProving({ folder: useFolder(), clock, registry: channel });
  const circuit = await addCircuit(rig);
  const prove = () => rig.client.proveInference(request(circuit, rowsOfX(1)));
  return { clock, registry, rig, circuit, prove };
}

describe("circuit-guard", () => {
  it("refuses a development key in a workspace that is marked production", async () => {
    const { clock, prove, registry } = await useGuarded();
    await prove();
    registry.environment = Environment.PRODUCTION;
    // Known for some seconds.
    await prove();
    expect(registry.asked).toEqual([VERSION, "workspaces/w"]);
    clock.advance(5_000);
    await expect(prove()).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.STATE_FORBIDS,
      message: expect.stringContaining("marked production"),
    });
  });

  it("refuses a circuit of a version that was removed, and of an earlier one of its name", async () => {
    const { circuit, clock, prove, registry, rig } = await useGuarded();
    await prove();
    registry.uid = undefined;
    clock.advance(5_000);
    const violations = [{ type: "MODEL_VERSION", subject: circuit }];
    await expect(prove()).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("which was removed"),
      violations,
    });
    registry.uid = "another";
    clock.advance(5_000);
    for (const name of [circuit, `${VERSION}/circuits/active`]) {
      const asked = rig.client.proveInference(request(name, rowsOfX(1)));
      await expect(asked).rejects.toMatchObject({
        kind: "FailedPrecondition",
        message: expect.stringContaining("another version has its name now"),
        violations,
      });
    }
    expect((await rig.client.listProofJobs({ parent: "workspaces/w" })).proofJobs).toHaveLength(1);
  });

  it("goes by what was said last while the registry is away, for a minute", async () => {
    const { clock, prove, registry } = await useGuarded();
    await prove();
    registry.isAway = true;
    clock.advance(59_999);
    await prove();
    const asked = registry.asked.length;
    // Not asked at every call while it is away.
    await prove();
    expect(registry.asked).toHaveLength(asked);
    clock.advance(1_000);
    await expect(prove()).rejects.toMatchObject({
      kind: "Unavailable",
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    });
    registry.isAway = false;
    await prove();
  });

  it("lets nothing through that nobody has said anything of", async () => {
    const { prove, registry } = await useGuarded();
    registry.isAway = true;
    await expect(prove()).rejects.toMatchObject({ kind: "Unavailable" });
  });
});
