// The script of the page in predict.test.ts: what a web front end does to get a prediction. The
// page's address says which gateway, protocol and deployment; what came back is written into the
// page.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";

/** The little of a browser that is used, since the project's types are Node's. */
interface Page {
  readonly location: { readonly search: string };
  readonly document: { getElementById(id: string): { textContent: string } };
}

const { location, document } = globalThis as unknown as Page;
const asked = new URLSearchParams(location.search);
const baseUrl = asked.get("gateway") ?? "";
const transport =
  asked.get("protocol") === "grpc-web"
    ? createGrpcWebTransport({ baseUrl })
    : createConnectTransport({ baseUrl, useBinaryFormat: asked.get("protocol") === "binary" });

async function ask(): Promise<string> {
  const client = createClient(InferenceService, transport);
  const headers = { authorization: "Bearer key.secret", "plinth-workspace": "default" };
  const rows = [JSON.parse(asked.get("row") ?? "{}")];
  const deployment = asked.get("deployment") ?? "";
  const answer = await client.predict({ deployment, rows }, { headers, timeoutMs: 20_000 });
  const watched: string[] = [];
  if (asked.has("watch")) {
    const events = createClient(DeploymentService, transport).watchDeployments({}, { headers });
    for await (const { resumeToken } of events) {
      watched.push(resumeToken);
    }
  }
  return JSON.stringify({ outputs: answer.predictions.map((p) => p.outputs), watched });
}

function failure(thrown: unknown): string {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  return `${Code[error.code]}: ${error.rawMessage} (${info?.reason ?? "no details"})`;
}

document.getElementById("answer").textContent = await ask().catch(failure);
