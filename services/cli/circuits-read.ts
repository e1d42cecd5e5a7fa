// `plinth circuits list|show`, and how every command that gives a circuit tells of it.

import { create } from "@bufbuild/protobuf";
import { type Circuit, CircuitSchema } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { ListCircuitsResponseSchema } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { circuitLines, keyText, proveTimeText, stateText } from "./circuits-report.ts";
import { madeCircuit } from "./circuits-watch.ts";
import { circuitAdvice, DEVELOPMENT_WARNING } from "./circuits-words.ts";
import { formatTime } from "./format.ts";
import { formatCount } from "./progress.ts";
import { resolveCircuit, shortCircuit } from "./proof-names.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { parseReference, resolveVersion } from "./version-reference.ts";

/** `plinth circuits list` */
export async function listCircuits(
  session: Session,
  [text]: readonly [string | undefined],
  options: { readonly limit: number },
): Promise<void> {
  const { output } = session;
  const parent = await listParent(session, text);
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) => session.circuits.listCircuits({ parent, ...page }, session.call),
    items: (response) => response.circuits,
  });
  if (output.json) {
    const all = create(ListCircuitsResponseSchema, { circuits: [...items] });
    return output.message(ListCircuitsResponseSchema, all);
  }
  output.table(
    [
      { title: "CIRCUIT" },
      { title: "STATE" },
      { title: "KEY" },
      { title: "CONSTRAINTS", align: "right" },
      { title: "PROVE TIME", align: "right" },
      { title: "CREATED" },
      { title: "BY" },
    ],
    items.map((circuit) => [
      shortCircuit(circuit.name),
      stateText(circuit),
      keyText(circuit),
      circuit.report === undefined ? "" : formatCount(Number(circuit.report.constraints)),
      proveTimeText(circuit.report),
      formatTime(circuit.createTime),
      circuit.actor,
    ]),
    'No circuits. Make one with "plinth circuits create <model/version>".',
  );
  noteMore(session, more);
}

/** `plinth circuits show` */
export async function showCircuit(
  session: Session,
  [text]: readonly [string],
  options: { readonly watch?: boolean },
): Promise<void> {
  const name = await resolveCircuit(session, text);
  const circuit = await session.circuits.getCircuit({ name }, session.call);
  const watched = options.watch === true ? await madeCircuit(session, circuit) : circuit;
  await tellCircuit(session, watched);
}

/** Prints a circuit; what must be known of it and what comes next goes to stderr. */
export async function tellCircuit(session: Session, circuit: Circuit): Promise<void> {
  const { output } = session;
  if (output.json) {
    await output.message(CircuitSchema, circuit);
  } else {
    output.lines(circuitLines(output, circuit));
  }
  tellWarnings(session, circuit);
}

/** What its key is worth where that is little, and what comes next. */
export function tellWarnings({ output }: Session, circuit: Circuit): void {
  if (circuit.setup?.development === true) {
    output.warning(DEVELOPMENT_WARNING);
  }
  if (!output.json) {
    for (const line of circuitAdvice(circuit)) {
      output.note(line);
    }
  }
}

async function listParent(session: Session, text: string | undefined): Promise<string> {
  if (text === undefined) {
    return `${session.parent}/models/-/versions/-`;
  }
  const { model, version } = parseReference(text, session.workspace);
  return version === undefined ? `${model}/versions/-` : resolveVersion(session, text);
}
