// What ProveInference refuses before anything is computed or stored. Ranges of values are the
// circuit's own and are checked where it is evaluated.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { InputValues } from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import type { ProveInferenceRequest } from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { deploymentName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { CircuitSchema, SchemaInput } from "../circuit/circuit-schema.ts";
import { type Circuit, isReady } from "../circuits/circuit.ts";
import { FIELD_ORDER } from "../field.ts";
import { valueCount } from "../verifier/read-schema.ts";

const ROWS_MAX = 1_000;
/** Of all inputs and rows: 16 MiB of floats. */
const VALUES_MAX = 4 * 1024 * 1024;
const PRIORITY_MAX = 9;
const INFERENCE_ID_LENGTH_MAX = 256;
const CONTEXT_BYTES_MAX = 31;
/** Digits of the order of the field. */
const DIGITS_MAX = 77;

/** Notes what is wrong whatever the circuit. @throws InvalidArgument */
export function checkRequest(
  request: ProveInferenceRequest,
  caller: { readonly workspace: string; readonly isService: boolean },
): void {
  const { rows, context, deployment, inferenceId, priority, requestId } = request;
  const faults = new RequestFaults();
  const isCount = rows >= 1 && rows <= ROWS_MAX;
  faults.check(isCount, "rows", `is ${rows}; 1 to ${ROWS_MAX} are possible`);
  faults.check(priority <= PRIORITY_MAX, "priority", `is ${priority}; 0 to ${PRIORITY_MAX}`);
  faults.text("inference_id", inferenceId, INFERENCE_ID_LENGTH_MAX);
  faults.requestId(requestId);
  const bytes = context.length;
  faults.check(bytes <= CONTEXT_BYTES_MAX, "context", `has ${bytes} bytes; up to 31 are possible`);
  if (deployment !== "") {
    checkDeployment(faults, deployment, caller);
  }
  faults.done();
}

function checkDeployment(
  faults: RequestFaults,
  deployment: string,
  { workspace, isService }: { readonly workspace: string; readonly isService: boolean },
): void {
  faults.check(
    isService,
    "deployment",
    "is said by inference servers alone: who reads it trusts that the deployment answered. Leave it " +
      "out, or send a verifiable Predict to the deployment",
  );
  const isHere = !isService || deploymentName.match(deployment)?.workspace === workspace;
  const expected = `must be "${deploymentName.pattern}" of the circuit's workspace`;
  faults.check(isHere, "deployment", expected);
}

/**
 * Whoever serves a model and answers with its circuit must mean the same file.
 * @throws FailedPrecondition
 */
export function requireModel({ _id: name, modelDigest }: Circuit, expected: string): void {
  if (expected === "" || expected === modelDigest) {
    return;
  }
  const description =
    `is of a file with the SHA-256 ${modelDigest}, and ${expected} is served: the version was ` +
    "removed and registered anew. Create a circuit of the new one";
  throw new FailedPrecondition(`${name} ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: name },
    violations: [{ type: "MODEL_DIGEST", subject: name, description }],
  });
}

/** Refuses a circuit that no proofs are made with yet. @throws FailedPrecondition */
export function requireReady(circuit: Circuit): void {
  if (isReady(circuit)) {
    return;
  }
  const description =
    circuit.state === "SUCCEEDED"
      ? "awaits contributions to its key; close its ceremony with ActivateCircuit"
      : `is ${circuit.state}, and proofs are made once it is READY`;
  throw new FailedPrecondition(`${circuit._id} ${description}. WatchCircuit tells how far it is.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: circuit._id },
    violations: [{ type: "STATE", subject: circuit._id, description }],
  });
}

/** Notes what does not fit the circuit. @throws InvalidArgument */
export function checkInputs(schema: CircuitSchema, request: ProveInferenceRequest): void {
  const { inputs, rows, context, salts } = request;
  const faults = new RequestFaults();
  const names = schema.inputs.map(({ name }) => name);
  const seen = new Set<string>();
  inputs.forEach((input, index) => {
    const field = `inputs[${index}].name`;
    const shown = JSON.stringify(input.name.slice(0, 80));
    faults.check(!seen.has(input.name), field, `${shown} is there twice`);
    const isKnown = names.includes(input.name);
    faults.check(isKnown, field, `${shown} is no input of the circuit, which has ${names}`);
    seen.add(input.name);
  });
  const perRow = schema.inputs.reduce((sum, { shape }) => sum + valueCount(shape), 0);
  const total = perRow * rows;
  faults.check(total <= VALUES_MAX, "rows", `take ${total} values; at most ${VALUES_MAX} a call`);
  for (const input of schema.inputs) {
    const index = inputs.findIndex(({ name }) => name === input.name);
    faults.check(index >= 0, "inputs", `lack the input "${input.name}"`);
    if (index >= 0) {
      checkValues(faults, { input, given: inputs[index]!, field: `inputs[${index}]`, rows });
    }
  }
  const isContext = schema.hasContext || context.length === 0;
  faults.check(isContext, "context", "is given, and the circuit has none: it would prove nothing");
  checkSalts(faults, { schema, salts, rows });
  faults.done();
}

function checkValues(
  faults: RequestFaults,
  of: {
    readonly input: SchemaInput;
    readonly given: InputValues;
    readonly field: string;
    readonly rows: number;
  },
): void {
  const { input, given, field, rows } = of;
  const { floats, doubles } = given;
  const isOne = floats.length === 0 || doubles.length === 0;
  faults.check(isOne, field, "has floats and doubles; give one of them");
  const kind = floats.length > 0 ? "floats" : "doubles";
  const values = given[kind];
  const perRow = valueCount(input.shape);
  const expected = `${perRow * rows}: ${rows} rows of shape [${input.shape.join(", ")}]`;
  const isWhole = values.length === perRow * rows;
  faults.check(
    isWhole,
    `${field}.${kind}`,
    `has ${values.length} values and must have ${expected}`,
  );
  const bad = values.findIndex((value) => !Number.isFinite(value));
  const where = `is ${values[bad]} in row ${Math.floor(bad / perRow)}`;
  faults.check(bad < 0, `${field}.${kind}[${bad}]`, `${where}; circuits take finite numbers only`);
}

function checkSalts(
  faults: RequestFaults,
  of: { readonly schema: CircuitSchema; readonly salts: readonly string[]; readonly rows: number },
): void {
  const { schema, salts, rows } = of;
  if (salts.length === 0) {
    return;
  }
  if (schema.inputMode !== "committed") {
    faults.check(false, "salts", "are given, and the circuit does not commit to its inputs");
    return;
  }
  faults.check(salts.length === rows, "salts", `are ${salts.length}; one a row: ${rows}, or none`);
  salts.forEach((salt, row) => {
    const isNumber = salt.length <= DIGITS_MAX && /^(?:0|[1-9][0-9]*)$/.test(salt);
    const fits = isNumber && BigInt(salt) < FIELD_ORDER;
    faults.check(fits, `salts[${row}]`, "must be in decimal digits and below the field's order");
  });
}
