// Follows a circuit until it is made. It is made on the server: leaving the watch does not stop it,
// and the command says so, and how to come back.

import {
  type Circuit,
  CircuitSchema,
  Circuit_State as State,
} from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { DeadlineExceeded, DomainError } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, Interrupted } from "./exit-codes.ts";
import { jobBar } from "./job-bar.ts";
import { endedWith } from "./proof-failure.ts";
import { shortCircuit } from "./proof-names.ts";
import { reopened } from "./reopened.ts";
import type { Session } from "./session.ts";

const SETTLED: readonly State[] = [
  State.READY,
  State.AWAITING_CONTRIBUTIONS,
  State.FAILED,
  State.CANCELLED,
];

/** Whether nothing more happens to it by itself. */
function isSettled({ state }: Circuit): boolean {
  return SETTLED.includes(state);
}

/** How to come back to a circuit that is being made. */
export function wayBack(name: string): string {
  const circuit = shortCircuit(name);
  return (
    `Follow it with "plinth circuits show ${circuit} --watch", ` +
    `stop it with "plinth circuits delete ${circuit}".`
  );
}

/**
 * Waits until the circuit is made.
 * @throws CommandError with the circuit's own error where it FAILED or was CANCELLED; Interrupted
 *   with the way back at Ctrl-C.
 */
export async function madeCircuit(session: Session, started: Circuit): Promise<Circuit> {
  const circuit = await settled(session, started);
  if (circuit.state === State.READY || circuit.state === State.AWAITING_CONTRIBUTIONS) {
    return circuit;
  }
  if (session.output.json) {
    await session.output.message(CircuitSchema, circuit);
  }
  throw endedWith(shortCircuit(circuit.name), circuit.error);
}

async function settled(session: Session, started: Circuit): Promise<Circuit> {
  let circuit = started;
  const { name } = started;
  using bar = await jobBar({ show: session.output.showsProgress, title: shortCircuit(name) });
  try {
    if (isSettled(circuit)) {
      return circuit;
    }
    const open = () => session.circuits.watchCircuit({ name }, session.call);
    for await (const message of reopened(session, open, { tells: false })) {
      circuit = message.circuit ?? circuit;
      if (isSettled(circuit)) {
        return circuit;
      }
      if (circuit.progress !== undefined) {
        bar.update({ ...circuit.progress, unit: "steps" });
      }
    }
  } catch (error) {
    bar[Symbol.dispose]();
    throw left(name, error);
  }
  throw gone(name, "cannot be watched any more");
}

/** What is thrown when the watch ends before the work does. */
function left(name: string, error: unknown): unknown {
  if (error instanceof Interrupted) {
    return new Interrupted(
      error.signal,
      `${shortCircuit(name)} goes on by itself.\n${wayBack(name)}`,
    );
  }
  if (error instanceof DeadlineExceeded) {
    return gone(name, "is not made yet");
  }
  return error instanceof DomainError && error.kind === "Unavailable"
    ? gone(name, "cannot be watched any more")
    : error;
}

function gone(name: string, why: string): CommandError {
  return new CommandError(`${shortCircuit(name)} ${why}; it goes on by itself.`, {
    exitCode: ExitCode.unavailable,
    advice: [wayBack(name)],
  });
}
