// A key reaches its own workspace and nothing else, and does there what its roles allow. Every
// method of every service is tried, so that a new one cannot be forgotten.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, it } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { Role, required_role } from "../../gen/plinth/common/v1/options_pb.js";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { Comparison, Metric_Kind } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { createClient } from "../../services/common/rpc/client.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { callMethod, NAMELESS, type Names, REACHING, SERVICES } from "./other-workspace.ts";
import { call, useConnection } from "./raw-call.ts";
import { shareMesh } from "./use-mesh.ts";
import { clientsOn, firstOutput, rowsOf, serveModel } from "./use-models.ts";

const shared = shareMesh();
const OURS = "workspaces/ours";
const secrets = new Map<Role, string>();
let root: string;
let existing: Names;

beforeAll(async () => {
  const open = clientsOn(shared.current.channel);
  for (const workspaceId of ["ours", "theirs"]) {
    await open.workspaces.createWorkspace({ workspaceId });
  }
  const parent = "workspaces/theirs";
  await serveModel(open, "linear", linearModel(), { parent: OURS });
  const version = await serveModel(open, "secret", linearModel({ scale: 2 }), { parent });
  const upload = await open.models.createUpload({ parent, sha256: "0".repeat(64), sizeBytes: 9n });
  const all = { displayName: "root", roles: [Role.ADMIN] };
  root = (await open.keys.createApiKey({ parent: "workspaces/-", apiKey: all })).secret;
  // From here on the mesh is closed.
  const { keys } = clientsOn(shared.channel(root));
  for (const role of [Role.VIEWER, Role.PREDICTOR, Role.EDITOR, Role.APPROVER, Role.ADMIN]) {
    const apiKey = { displayName: Role[role], roles: [role] };
    secrets.set(role, (await keys.createApiKey({ parent: OURS, apiKey })).secret);
  }
  const apiKey = { displayName: "theirs", roles: [Role.ADMIN] };
  const theirs = (await keys.createApiKey({ parent, apiKey })).apiKey!;
  existing = {
    workspace: parent,
    model: `${parent}/models/secret`,
    version: version.name,
    upload: upload.name,
    deployment: `${parent}/deployments/secret`,
    key: theirs.name,
    ...(await defineFeatures(parent)),
    alertRule: await makeRule(parent),
    alert: `${parent}/alerts/secret`,
    circuit: `${version.name}/circuits/secret`,
    powersOfTau: `${parent}/powersOfTau/secret`,
    proofJob: `${parent}/proofJobs/secret`,
    proof: `${parent}/proofs/${"5".repeat(64)}`,
  };
});

async function makeRule(parent: string): Promise<string> {
  const { alerts } = clientsOn(shared.channel(root));
  const { name } = await alerts.createAlertRule({
    parent,
    alertRuleId: "secret",
    alertRule: {
      deployment: `${parent}/deployments/secret`,
      metric: { kind: Metric_Kind.FEATURE_DRIFT_SHARE },
      condition: { case: "threshold", value: { comparison: Comparison.GREATER, value: 0.5 } },
    },
  });
  return name;
}

/** One of each kind of definition, a row, and a job. */
async function defineFeatures(parent: string) {
  const { definitions, features, jobs } = clientsOn(shared.channel(root));
  const place = { name: "place", valueType: ValueType.STRING };
  const { changes } = await definitions.applyDefinitions({
    parent,
    entities: [{ name: "secret", joinKeys: [place] }],
    featureViews: [
      {
        name: "secret",
        entities: ["secret"],
        features: [{ name: "score", valueType: ValueType.DOUBLE }],
      },
    ],
    onDemandFeatureViews: [
      {
        name: "computed_secret",
        inputs: [{ name: "score", valueType: ValueType.DOUBLE }],
        features: [{ name: "twice", valueType: ValueType.DOUBLE, expression: "score * 2.0" }],
      },
    ],
    featureServices: [{ name: "secret", projections: [{ featureView: "secret" }] }],
  });
  const [entity, featureView, onDemandFeatureView, featureService] = changes.map((c) => c.name);
  const now = { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0 };
  await features.pushFeatures({
    featureView: featureView!,
    columns: [
      { name: "place", strings: ["here"] },
      { name: "event_timestamp", timestamps: [now] },
      { name: "score", doubles: [1] },
    ],
  });
  const job = await jobs.compactFeatureView({
    parent,
    jobId: "secret",
    compaction: { featureView: featureView! },
  });
  return {
    entity: entity!,
    featureView: featureView!,
    onDemandFeatureView: onDemandFeatureView!,
    featureService: featureService!,
    table: `${parent}/tables/${"0".repeat(64)}`,
    job: job.name,
  };
}

/** What a call is refused with, or a message of a stream. */
const REFUSED = /"kind":"PermissionDenied"|cannot reach|"PERMISSION_DENIED"/;

/** Names like the existing ones of things that are not there. */
function missing(workspace: string): Names {
  return {
    workspace,
    model: `${workspace}/models/absent`,
    version: `${workspace}/models/absent/versions/7`,
    upload: `${workspace}/uploads/absent`,
    deployment: `${workspace}/deployments/absent`,
    key: `${workspace}/apiKeys/absent`,
    entity: `${workspace}/entities/absent`,
    featureView: `${workspace}/featureViews/absent`,
    onDemandFeatureView: `${workspace}/onDemandFeatureViews/computed_absent`,
    featureService: `${workspace}/featureServices/absent`,
    table: `${workspace}/tables/${"0".repeat(64)}`,
    job: `${workspace}/jobs/absent`,
    alertRule: `${workspace}/alertRules/absent`,
    alert: `${workspace}/alerts/absent`,
    circuit: `${workspace}/models/absent/versions/1/circuits/absent`,
    powersOfTau: `${workspace}/powersOfTau/absent`,
    proofJob: `${workspace}/proofJobs/absent`,
    proof: `${workspace}/proofs/${"a".repeat(64)}`,
  };
}

function methodsOf(service: DescService): readonly DescMethod[] {
  return service.methods;
}

/**
 * The error of a call, where a stream's answers may be errors too; without names and their bytes.
 */
async function refusal(client: unknown, method: DescMethod, request: object): Promise<unknown> {
  const thrown = (error: { kind: string; message: string }) => ({
    kind: error.kind,
    message: error.message,
  });
  const answer = await callMethod(client, method, request).catch(thrown);
  return JSON.parse(json(answer).replaceAll("secret", "absent").replaceAll("nowhere", "theirs"));
}

describe("a key of another workspace", () => {
  for (const service of SERVICES) {
    const client = () => createClient(service, shared.channel(secrets.get(Role.ADMIN)!));

    for (const method of methodsOf(service)) {
      const request = REACHING[service.name]?.[method.localName];
      if (NAMELESS.includes(method.localName)) {
        continue;
      }

      it(`is refused by ${service.name}.${method.name}, whether or not the thing exists`, async () => {
        expect(request, "a request for it is missing in other-workspace.ts").toBeDefined();
        const there = await refusal(client(), method, request!(existing));
        // A stream answers each message; the error stands in the answer.
        expect(json(there)).toMatch(REFUSED);
        const absent = request!(missing("workspaces/theirs"));
        expect(await refusal(client(), method, absent)).toEqual(there);
        const nowhere = request!(missing("workspaces/nowhere"));
        expect(await refusal(client(), method, nowhere)).toEqual(there);
        const everywhere = await refusal(client(), method, request!(missing("workspaces/-")));
        expect(json(everywhere)).toMatch(REFUSED);
      });
    }
  }

  it("sees its own workspace only, and predicts there", async () => {
    const mine = clientsOn(shared.channel(secrets.get(Role.ADMIN)!));
    const { workspaces } = await mine.workspaces.listWorkspaces({});
    expect(workspaces.map(({ name }) => name)).toEqual([OURS]);
    const { models } = await mine.inference.repositoryIndex({});
    expect(models.map(({ name }) => name)).toEqual(["linear"]);
    const { modelStats } = await mine.inference.modelStatistics({});
    expect(modelStats.map(({ name }) => name)).toEqual(["linear"]);
    const answer = await mine.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
    expect(firstOutput(answer)).toEqual([10.5]);
    const bare = mine.inference.modelInfer(rowsOf("secret", [[1, 1, 1, 1]]));
    await expect(bare).rejects.toMatchObject({ kind: "NotFound" });
    const header = mine.inference.modelInfer(rowsOf("secret", [[1, 1, 1, 1]]), {
      headers: { "plinth-workspace": "theirs" },
    });
    await expect(header).rejects.toMatchObject({ kind: "PermissionDenied" });
  });

  it("cannot have a version of theirs served by a deployment of its own", async () => {
    const mine = clientsOn(shared.channel(secrets.get(Role.ADMIN)!));
    for (const modelVersion of [existing.version, missing("workspaces/theirs").version]) {
      const config = { targets: [{ modelVersion, weight: 100 }] };
      const made = mine.deployments.createDeployment({
        parent: OURS,
        deploymentId: "stolen",
        deployment: { config },
      });
      await expect(made).rejects.toMatchObject({ kind: "PermissionDenied" });
    }
  });

  it("is refused on the web port as well", async () => {
    const authorization = `Bearer ${secrets.get(Role.ADMIN)}`;
    for (const id of ["secret", "absent"]) {
      const response = await fetch(
        `${shared.current.webUrl}/plinth.inference.v1.InferenceService/Predict`,
        {
          method: "POST",
          headers: { "content-type": "application/json", authorization },
          body: JSON.stringify({ deployment: `workspaces/theirs/deployments/${id}`, rows: [{}] }),
        },
      );
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({ code: "permission_denied" });
    }
  });
});

/** The roles that each role stands for, from the comments of options.proto. */
const MAY: Readonly<Record<number, readonly Role[]>> = {
  [Role.VIEWER]: [Role.VIEWER],
  [Role.PREDICTOR]: [Role.PREDICTOR],
  [Role.EDITOR]: [Role.EDITOR, Role.VIEWER, Role.PREDICTOR],
  [Role.APPROVER]: [Role.APPROVER, Role.VIEWER],
  [Role.ADMIN]: [Role.ADMIN, Role.EDITOR, Role.APPROVER, Role.VIEWER, Role.PREDICTOR],
};

describe("roles", () => {
  for (const role of [Role.VIEWER, Role.PREDICTOR, Role.EDITOR, Role.APPROVER, Role.ADMIN]) {
    it(`${Role[role]} may call what its role allows, of every service`, async () => {
      const session = await useConnection(shared.current.grpcAddress);
      for (const method of SERVICES.flatMap(methodsOf)) {
        const path = `/${method.parent.typeName}/${method.name}`;
        const isOurs = method.parent.typeName.startsWith("plinth.");
        const needed = isOurs ? getOption(method, required_role) : Role.PREDICTOR;
        const headers = { authorization: `Bearer ${secrets.get(role)}` };
        // No message comes, so a call that is let in fails, or ends, for that.
        const { code } = await call(session, Buffer.alloc(0), { path, headers });
        expect(code === Code.PERMISSION_DENIED, `${path} as ${Role[role]}`).toBe(
          !MAY[role]!.includes(needed),
        );
      }
    });
  }
});

describe("credentials", () => {
  it("are needed by every method but health and reflection", async () => {
    const session = await useConnection(shared.current.grpcAddress);
    for (const method of SERVICES.flatMap(methodsOf)) {
      const path = `/${method.parent.typeName}/${method.name}`;
      for (const headers of [{}, { authorization: "Bearer plk_wrong" }]) {
        const { code } = await call(session, Buffer.alloc(0), { path, headers });
        expect(code, path).toBe(Code.UNAUTHENTICATED);
      }
    }
    const health = createClient(Health, shared.current.channel);
    expect(await health.check({})).toMatchObject({ status: 1 });
  });

  it("end at once when the key is revoked", async () => {
    const { keys } = clientsOn(shared.channel(root));
    const { apiKey, secret } = await keys.createApiKey({
      parent: OURS,
      apiKey: { displayName: "brief", roles: [Role.PREDICTOR] },
    });
    const { inference } = clientsOn(shared.channel(secret));
    await inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
    await keys.revokeApiKey({ name: apiKey!.name });
    const refused = inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
    await expect(refused).rejects.toMatchObject({ kind: "Unauthenticated" });
  });

  it("are shown once and kept as a hash only", async () => {
    const { keys } = clientsOn(shared.channel(root));
    const { apiKeys } = await keys.listApiKeys({ parent: OURS });
    expect(apiKeys.length).toBeGreaterThanOrEqual(5);
    for (const secret of secrets.values()) {
      expect(json(apiKeys)).not.toContain(secret);
      expect(await containsText(shared.current.dataDir, secret)).toBe(false);
    }
  });
});

/** Whether a file right in the folder contains the text. */
async function containsText(folder: string, text: string): Promise<boolean> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  const contents = await Promise.all(files.map(({ name }) => readFile(join(folder, name))));
  return contents.some((bytes) => bytes.includes(text));
}

function json(value: unknown): string {
  return JSON.stringify(value, (key, part) =>
    key === "details" ? undefined : typeof part === "bigint" ? `${part}` : part,
  );
}
