// `plinth circuits activate|delete|beacon`.

import { type Circuit, CircuitSchema } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { setupCall } from "./circuits-call.ts";
import { tellWarnings } from "./circuits-read.ts";
import { setupText } from "./circuits-report.ts";
import { UsageError } from "./exit-codes.ts";
import { spinner } from "./progress.ts";
import { resolveOneCircuit, shortCircuit } from "./proof-names.ts";
import type { Session } from "./session.ts";
import { factLines } from "./table.ts";

interface BeaconOptions {
  readonly hash: string;
  readonly iterations: number;
  readonly label?: string;
}

/** `plinth circuits activate` */
export async function activateCircuit(session: Session, [text]: readonly [string]): Promise<void> {
  const name = await resolveOneCircuit(session, text);
  const { etag } = await session.circuits.getCircuit({ name }, session.call);
  using spin = spinner({
    show: session.output.showsProgress,
    title: "Verifying the key and activating",
  });
  const circuit = await session.circuits.activateCircuit({ name, etag }, setupCall(session));
  spin[Symbol.dispose]();
  const short = shortCircuit(name);
  await tellChange(session, circuit, `${short} is active: verifiable predictions use it.`);
}

/** `plinth circuits delete` */
export async function deleteCircuit(
  session: Session,
  [text]: readonly [string],
  options: { readonly force?: boolean },
): Promise<void> {
  const name = await resolveOneCircuit(session, text);
  await session.circuits.deleteCircuit({ name, force: options.force ?? false }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${shortCircuit(name)} is deleted.`);
  }
}

/** `plinth circuits beacon` */
export async function applyBeacon(
  session: Session,
  [text]: readonly [string],
  { hash, iterations, label = "" }: BeaconOptions,
): Promise<void> {
  const beaconHash = hash.replace(/^0x/i, "").toLowerCase();
  if (!/^(?:[0-9a-f]{2}){1,255}$/.test(beaconHash)) {
    throw new UsageError("--hash must be 1 to 255 bytes as hexadecimal digits, two each.");
  }
  const name = await resolveOneCircuit(session, text);
  const { etag } = await session.circuits.getCircuit({ name }, session.call);
  using spin = spinner({ show: session.output.showsProgress, title: "Applying the beacon" });
  const request = { name, etag, beaconHash, iterations, label };
  const circuit = await session.circuits.applyBeacon(request, setupCall(session));
  spin[Symbol.dispose]();
  await tellChange(session, circuit, `${shortCircuit(name)} takes no contributions any more.`);
}

/** One sentence, and what others will want to know of the key. */
async function tellChange(session: Session, circuit: Circuit, sentence: string): Promise<void> {
  const { output } = session;
  const { setup, report, verifyingKeyHash } = circuit;
  if (output.json) {
    await output.message(CircuitSchema, circuit);
  } else {
    output.line(sentence);
    output.lines(
      factLines([
        ["key", setup && setupText(setup, report)],
        ["verifying key", verifyingKeyHash],
      ]),
    );
  }
  tellWarnings(session, circuit);
}
