// What buf's lint cannot ask of our protos, or what was excepted there so that standard methods may
// return the resource: checked over the descriptors.

import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { Role, required_role } from "../../gen/plinth/common/v1/options_pb.js";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { CaptureService } from "../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { CircuitService } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofService } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";

const services: readonly DescService[] = [
  AlertService,
  ApiKeyService,
  CaptureService,
  CircuitService,
  DeploymentService,
  FeatureRegistryService,
  FeatureStoreService,
  InferenceService,
  JobService,
  ModelService,
  MonitoringService,
  ProofService,
  ReceiptService,
  WorkspaceService,
];
const methods = services.flatMap((service) => service.methods);

function names(list: readonly DescMethod[]): string[] {
  return list.map((method) => `${method.parent.name}.${method.name}`);
}

describe("protos", () => {
  it("say what role every method needs", () => {
    const open = methods.filter((m) => (getOption(m, required_role) ?? 0) === Role.UNSPECIFIED);
    expect(names(open)).toEqual([]);
  });

  it("mark reads as without side effects, and only those", () => {
    const reads = methods.filter((m) =>
      /^(Get|List|Watch|Download|Export|Verify|Predict|StreamPredict)/.test(m.name),
    );
    const marked = methods.filter((m) => m.idempotency === Level.NO_SIDE_EFFECTS);
    expect(names(marked)).toEqual(names(reads));
  });

  it("give every method a request of its own", () => {
    const inputs = methods.map((m) => m.input.typeName);
    expect(inputs.length).toBe(new Set(inputs).size);
    for (const method of methods) {
      expect(method.input.name).toBe(`${method.name}Request`);
    }
  });

  it("answer standard methods with the resource, lists with a page", () => {
    for (const method of methods) {
      if (method.name.startsWith("List")) {
        expect(method.output.name).toBe(`${method.name}Response`);
        expect(method.output.fields.map((f) => f.name)).toContain("next_page_token");
        expect(method.input.fields.map((f) => f.name)).toContain("page_size");
      }
      // Many values at once are no resource, and a report is not named after all that is in it.
      const isResource = !["GetOnlineFeatures", "GetPerformance", "GetReceipts"].includes(
        method.name,
      );
      if (/^(Update|Get)/.test(method.name) && isResource) {
        expect(method.name).toMatch(new RegExp(`${method.output.name}$`));
      }
    }
  });
});
