// What the proofs service tells the people who run it: one function per business event, each a
// count or a duration and a log record. None of them throws.

import { counter, histogram } from "../common/telemetry/instruments.ts";
import type { Logger } from "../common/telemetry/log.ts";

const circuits = counter({
  name: "plinth.proofs.circuits",
  unit: "{circuit}",
  description: "Circuits whose making ended, by state.",
});
const proofs = counter({
  name: "plinth.proofs.proofs",
  unit: "{proof}",
  description: "Rows whose proving ended, by outcome.",
});
const proveTime = histogram({
  name: "plinth.proofs.prove.duration",
  unit: "s",
  description: "Time from witness to verified proof.",
  boundaries: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});
const receipts = counter({
  name: "plinth.proofs.receipts",
  unit: "{receipt}",
  description: "Receipts that were logged.",
});
const backgroundFailures = counter({
  name: "plinth.proofs.background_failures",
  unit: "{failure}",
  description: "Work in the background that failed and will be repeated, by work.",
});

export interface ProofsEvents {
  /** `circuit` is the circuit's name; `durationMs` from its creation on. */
  circuitEnded(
    circuit: string,
    ending: { readonly state: string; readonly durationMs: number },
  ): void;
  /** One row was proved. */
  proofMade(circuit: string, durationMs: number): void;
  /** A job ended without all of its proofs. */
  proofJobFailed(job: string, circuit: string, error: unknown): void;
  /** Somebody gave a contribution to a ceremony, or it was closed. */
  ceremony(circuit: string, what: "contribution" | "beacon" | "closed"): void;
  /** `workspace` is the workspace's name. */
  receiptsLogged(workspace: string, count: number): void;
  /** Work that nobody waits for failed; it is repeated. */
  backgroundFailed(work: string, subject: string, error: unknown): void;
}

/** The events of one service. */
export function createEvents(log: Logger): ProofsEvents {
  return {
    circuitEnded(circuit, { state, durationMs }) {
      circuits.bind({ "plinth.state": state.toLowerCase() }).add(1);
      log.info("Circuit ended", { circuit, state, durationMs });
    },
    proofMade(circuit, durationMs) {
      proofs.bind({ "plinth.outcome": "made" }).add(1);
      proveTime.bind({}).record(durationMs / 1_000);
      log.debug("Proof made", { circuit, durationMs });
    },
    proofJobFailed(job, circuit, error) {
      proofs.bind({ "plinth.outcome": "failed" }).add(1);
      log.warn("Proof job failed", { job, circuit, error });
    },
    ceremony(circuit, what) {
      log.info("Ceremony went on", { circuit, what });
    },
    receiptsLogged(workspace, count) {
      receipts.bind({}).add(count);
      log.debug("Receipts logged", { workspace, count });
    },
    backgroundFailed(work, subject, error) {
      backgroundFailures.bind({ "plinth.work": work }).add(1);
      log.warn("Background work failed and will be repeated", { work, subject, error });
    },
  };
}
