// What is said of a circuit in whole sentences: what its key is worth, and what comes next.

import { type Circuit, Circuit_State as State } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { shortCircuit, versionOfCircuit } from "./proof-names.ts";
import { shortName } from "./version-reference.ts";

/** Said wherever such a key, or a proof made with one, is shown. */
export const DEVELOPMENT_WARNING =
  "DEVELOPMENT SET-UP: one party made this key alone and can forge proofs with it. Good for trying " +
  "things; a proof under it convinces nobody else. For production use --setup ceremony.";

/** The same of a proof. */
export const DEVELOPMENT_PROOF_WARNING =
  "DEVELOPMENT SET-UP: whoever made the key of this proof can forge proofs. It convinces nobody who does " +
  "not trust them.";

/** What can be done next, by the state that the circuit is in. */
export function circuitAdvice(circuit: Circuit): readonly string[] {
  const { state, active, setup } = circuit;
  const short = shortCircuit(circuit.name);
  const version = shortName(versionOfCircuit(circuit.name));
  if (state === State.AWAITING_CONTRIBUTIONS) {
    const contributions = setup?.contributions ?? [];
    const contribute = `plinth circuits contribute ${short} --name "..."`;
    const close = `Close the ceremony: plinth circuits activate ${short}`;
    if (contributions.length === 0) {
      return [`Nobody has contributed yet: ${contribute}`];
    }
    // After a beacon nobody contributes.
    return contributions.some(({ beacon }) => beacon)
      ? [close]
      : [`The next party contributes: ${contribute}`, close];
  }
  if (state !== State.READY) {
    return [];
  }
  return active
    ? [`Prove with it: plinth prove ${version} --row '{...}'`]
    : [`Have verifiable predictions use it: plinth circuits activate ${short}`];
}
