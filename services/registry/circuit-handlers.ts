// The handler of ModelService that takes which circuits a version has.

import type { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { ModelCircuit as CircuitMessage } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import { circuitName, modelVersionName } from "../common/names.ts";
import { RequestFaults } from "../common/request-faults.ts";
import type { ServiceHandlers } from "../common/rpc/context.ts";
import type { RegistryDeps } from "./deps.ts";
import { type ModelCircuit, reportCircuits } from "./model-circuits.ts";
import { isVersionByNumber } from "./resolve-version.ts";

const CIRCUITS_MAX = 20;
const DIGEST = /^[0-9a-f]{64}$/;

/** Handlers over the registry's store. */
export function circuitHandlers(
  deps: RegistryDeps,
): Pick<ServiceHandlers<typeof ModelService>, "reportModelCircuits"> {
  return {
    async reportModelCircuits({ name, circuits }, context) {
      requireWorkspace(context.principal, modelVersionName.parse(name, "name").workspace);
      const faults = new RequestFaults();
      faults.check(isVersionByNumber(name), "name", "must end in a version number, not an alias");
      const parsed = fromCircuits(name, circuits, faults);
      faults.done();
      await reportCircuits(deps, { version: name, circuits: parsed });
      return {};
    },
  };
}

function fromCircuits(
  version: string,
  messages: readonly CircuitMessage[],
  faults: RequestFaults,
): ModelCircuit[] {
  const count = messages.length;
  faults.check(count <= CIRCUITS_MAX, "circuits", `has ${count}; at most ${CIRCUITS_MAX}`);
  const active = messages.filter((message) => message.active).length;
  faults.check(active <= 1, "circuits", `has ${active} active ones; at most one is`);
  const names = messages.map(({ circuit }) => circuit);
  const faultOf: Digests = (field, value, { mayBeEmpty }) => {
    const isOne = DIGEST.test(value) || (mayBeEmpty && value === "");
    faults.check(isOne, field, "must be 64 lower-case hexadecimal digits");
  };
  return messages.slice(0, CIRCUITS_MAX).map((message, i) => {
    const field = `circuits[${i}]`;
    const { circuit, modelCommitment, circuitHash, verifyingKeyHash } = message;
    const isOwn =
      circuitName.match(circuit) !== undefined && circuit.startsWith(`${version}/circuits/`);
    faults.check(isOwn, `${field}.circuit`, `must be the name of a circuit of ${version}`);
    const isFirst = names.indexOf(circuit) === i;
    faults.check(isFirst, `${field}.circuit`, `repeats ${circuit}`);
    faultOf(`${field}.model_commitment`, modelCommitment, { mayBeEmpty: false });
    faultOf(`${field}.circuit_hash`, circuitHash, { mayBeEmpty: false });
    faultOf(`${field}.verifying_key_hash`, verifyingKeyHash, { mayBeEmpty: true });
    const { development } = message;
    return {
      circuit,
      active: message.active,
      development,
      modelCommitment,
      circuitHash,
      verifyingKeyHash,
    };
  });
}

type Digests = (field: string, value: string, options: { readonly mayBeEmpty: boolean }) => void;
