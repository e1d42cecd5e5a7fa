// Circuits for tests over a mesh, and their files.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Circuit, Circuit_State } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import type {
  CreateCircuitRequestSchema,
  ExportCircuitRequest_File,
} from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import type { Clients } from "./use-models.ts";

/** Makes a circuit and waits until it is made; its name. */
export async function makeCircuit(
  clients: Clients,
  request: MessageInitShape<typeof CreateCircuitRequestSchema>,
): Promise<string> {
  const { name } = await clients.circuits.createCircuit(request);
  let last: Circuit | undefined;
  for await (const { circuit } of clients.circuits.watchCircuit({ name })) {
    last = circuit;
  }
  if (last?.state !== Circuit_State.READY) {
    throw new Error(`${name} is ${Circuit_State[last?.state ?? 0]}: ${last?.error?.message}`);
  }
  return name;
}

/** A file of a circuit, as text. */
export async function exportText(
  clients: Clients,
  name: string,
  file: ExportCircuitRequest_File,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const { payload } of clients.circuits.exportCircuit({ name, file })) {
    if (payload.case === "chunk") chunks.push(payload.value);
  }
  return Buffer.concat(chunks).toString("utf8");
}
