// Takes an inference to prove: checks it, evaluates the circuit for all rows (which is the answer
// that whoever asked serves), and stores the job. What was answered is durable, and the proofs
// follow whatever happens to the caller.

import { randomBytes, randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  type ProveInferenceRequest,
  ProveInferenceRequestSchema,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import type { Stored } from "../../common/documents/port.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { type JobStore, PRIORITY_DEFAULT } from "../../common/jobs/job-store.ts";
import { circuitName, proofJobName } from "../../common/names.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { isDevelopment } from "../circuits/circuit.ts";
import { type CircuitFiles, compiledOf } from "../circuits/circuit-files.ts";
import type { CircuitStore } from "../circuits/circuit-store.ts";
import { FIELD_ORDER } from "../field.ts";
import type { Workshop } from "../workshop/workshop-port.ts";
import { checkInputs, checkRequest, requireModel, requireReady } from "./check-inference.ts";
import type { CircuitGuard } from "./circuit-guard.ts";
import { type AnsweredRow, answersBytes, inputsBytes, rowInputs, storePart } from "./job-parts.ts";
import { answeredBy, type ProofJob } from "./proof-job.ts";
import type { ProofQueue } from "./proof-queue.ts";
import type { ProofStore } from "./proof-store.ts";
import { numberOfBytes } from "./statement-message.ts";

/** Random bits of a salt: below the order of the field whatever they are. */
const SALT_BYTES = 31;

export interface ProveInferenceDeps {
  readonly jobs: JobStore<ProofJob>;
  readonly proofs: ProofStore;
  readonly queue: ProofQueue;
  readonly guard: CircuitGuard;
  readonly circuits: Pick<CircuitStore, "get">;
  readonly files: CircuitFiles;
  readonly workshop: Workshop;
}

/**
 * The job of the call; a replay gives the first one.
 * @throws InvalidArgument; NotFound; FailedPrecondition where the circuit is not ready or not to be
 *   used here; ResourceExhausted where too many rows wait
 */
export async function proveInference(
  deps: ProveInferenceDeps,
  request: ProveInferenceRequest,
  context: CallContext,
): Promise<Stored<ProofJob>> {
  const { jobs, proofs, queue, circuits, guard } = deps;
  const { workspace } = circuitName.parse(request.circuit, "circuit");
  requireWorkspace(context.principal, workspace);
  checkRequest(request, { workspace, isService: isService(context.principal) });
  const stamp = requestStamp({
    method: ProveInferenceRequestSchema.typeName,
    parent: `workspaces/${workspace}`,
    requestId: request.requestId,
    bytes: toBinary(ProveInferenceRequestSchema, request),
  });
  const replayed = await jobs.findReplayed(stamp);
  if (replayed !== undefined) {
    return replayed;
  }
  const circuit = await circuits.get(request.circuit);
  requireReady(circuit);
  requireModel(circuit, request.modelDigest);
  await guard.check(circuit, context);
  const { schema, schemaHash } = compiledOf(circuit);
  checkInputs(schema, request);
  using _reserved = queue.reserve(workspace, request.rows);
  const source = await deps.files.source(circuit);
  const salts = saltsOf(schema, request);
  const rows = Array.from({ length: request.rows }, (_, row) =>
    rowInputs(schema, request, { row, salt: salts[row] }),
  );
  const values = await deps.workshop.evaluate(source, rows, { signal: context.signal });
  await proofs.putSchema(schemaHash, schema);
  const answers = values.map((publicValues, row) => answered(publicValues, salts[row]));
  const uid = randomUUID();
  const job = await jobs.create({
    name: proofJobName.format({ workspace, proofJob: uid }),
    uid,
    workspace,
    actor: context.principal.id,
    stamp,
    priority: request.priority || PRIORITY_DEFAULT,
    circuit: circuit._id,
    answeredBy: answeredBy(circuit),
    modelVersion: circuit.modelVersion,
    deployment: request.deployment,
    inferenceId: request.inferenceId,
    rowCount: request.rows,
    rowsDone: 0,
    proofs: rows.map(() => null),
    development: isDevelopment(circuit),
    schemaHash,
    inputs: await storePart(deps.files, inputsBytes(request, uid)),
    answers: await storePart(deps.files, answersBytes(answers)),
  });
  queue.noticed(job);
  return job;
}

/** Only a service of the mesh knows which deployment it answers for. */
function isService({ roles }: Principal): boolean {
  return roles.includes(Role.SERVICE);
}

/** By row; none where the circuit does not commit to its inputs. */
function saltsOf(
  schema: CircuitSchema,
  { salts, rows }: Pick<ProveInferenceRequest, "salts" | "rows">,
): readonly bigint[] {
  if (schema.inputMode !== "committed") {
    return [];
  }
  const draw = () => numberOfBytes(randomBytes(SALT_BYTES)) % FIELD_ORDER;
  return Array.from({ length: rows }, (_, row) =>
    salts[row] === undefined ? draw() : BigInt(salts[row]),
  );
}

function answered(publicValues: readonly bigint[], salt: bigint | undefined): AnsweredRow {
  return salt === undefined ? { publicValues } : { publicValues, salt };
}
