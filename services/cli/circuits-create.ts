// `plinth circuits create`: sends what is wanted, follows the work, and tells what came of it.

import { randomUUID } from "node:crypto";
import { CircuitSchema } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { type CalibrationOptions, readCalibration } from "./circuits-calibration.ts";
import { type CircuitChoices, circuitOptions } from "./circuits-options.ts";
import { tellCircuit } from "./circuits-read.ts";
import { madeCircuit, wayBack } from "./circuits-watch.ts";
import { CommandError } from "./exit-codes.ts";
import { shortCircuit } from "./proof-names.ts";
import type { Session } from "./session.ts";
import { resolveVersion } from "./version-reference.ts";

interface CreateOptions extends CircuitChoices, CalibrationOptions {
  readonly id?: string;
  /** False: --no-wait. */
  readonly wait: boolean;
}

/** `plinth circuits create` */
export async function createCircuit(
  session: Session,
  [text]: readonly [string],
  options: CreateOptions,
): Promise<void> {
  const { output } = session;
  const choices = circuitOptions(session, options);
  const parent = await resolveVersion(session, text);
  const version = await session.models.getModelVersion({ name: parent }, session.call);
  const calibration = await readCalibration(session, version, options);
  const started = await session.circuits.createCircuit(
    {
      parent,
      circuitId: options.id ?? "",
      requestId: randomUUID(),
      options: choices,
      ...(calibration === undefined ? {} : { calibration }),
    },
    session.call,
  );
  if (!options.wait) {
    if (output.json) {
      await output.message(CircuitSchema, started);
    } else {
      output.line(`${shortCircuit(started.name)} is being made.`);
      output.note(wayBack(started.name));
    }
    return;
  }
  const made = await madeCircuit(session, started).catch((error: unknown) => {
    throw options.calibration === undefined ? withCalibrationAdvice(error) : error;
  });
  await tellCircuit(session, made);
}

/** What a circuit fails of that lacks ranges, in the words of the command line. */
function withCalibrationAdvice(error: unknown): unknown {
  if (!(error instanceof CommandError) || !error.message.includes("calibration data")) {
    return error;
  }
  const { message, exitCode, advice } = error;
  const how = "Give rows with --calibration <file>, or ranges with --range input=low:high.";
  return new CommandError(message, { exitCode, advice: [...advice, how] });
}
