// For tests: circuits in a store, as if they had been made, with keys of proofs that snarkjs made.

import { randomUUID } from "node:crypto";
import type { Clock } from "../../../common/clock.ts";
import { systemClock } from "../../../common/clock.ts";
import type { Stored } from "../../../common/documents/port.ts";
import { requestStamp } from "../../../common/documents/request-stamp.ts";
import { withoutStamps } from "../../../common/documents/resource.ts";
import { useStore } from "../../../common/documents/testing.ts";
import { schemaHash } from "../../verifier/read-schema.ts";
import { vector } from "../../verifier/testing/vectors.ts";
import type { Circuit, KeyDocument } from "../circuit.ts";
import { CircuitStore } from "../circuit-store.ts";

export const VERSION = "workspaces/w/models/m/versions/1";

/** A key as a set-up left it, of the proof with three public values. */
export function keyDocument(
  setup: KeyDocument["record"]["setup"] = "dev-single-party",
  record: Partial<KeyDocument["record"]> = {},
): KeyDocument {
  return {
    zkey: "a".repeat(64),
    record: {
      version: 1,
      protocol: setup === "universal" ? "plonk" : "groth16",
      setup,
      circuitHash: "b".repeat(64),
      zkeyHash: "a".repeat(64),
      zkeyBytes: 3,
      verifyingKey: vector(3).verifyingKey,
      contributions: [],
      ...record,
    },
    contributionTimes: [],
    setupMs: 1,
    verified: false,
  };
}

/** A store of circuits, and a way to put one in that is READY where its key is. */
export async function useCircuitStore(clock: Clock = systemClock) {
  const documents = await useStore({ clock });
  const circuits = await CircuitStore.open(documents, { clock });
  const { schema } = vector(3);
  const add = async (id: string, change: Partial<Circuit> = {}): Promise<Stored<Circuit>> => {
    const modelVersion = change.modelVersion ?? VERSION;
    const stored = await circuits.jobs.create({
      name: `${modelVersion}/circuits/${id}`,
      uid: randomUUID(),
      workspace: "w",
      actor: "anonymous",
      stamp: requestStamp({ method: "m", parent: VERSION, requestId: "", bytes: Buffer.of() }),
      modelVersion,
      modelVersionUid: "uid",
      modelDigest: "1".repeat(64),
      options: {},
      calibrationData: null,
      active: false,
      proveMs: [],
      compiled: {
        constraints: "b".repeat(64),
        constraintsBytes: 3,
        model: "c".repeat(64),
        schema,
        schemaHash: schemaHash(schema),
        calibration: {},
        report: {},
      },
      key: keyDocument(),
    });
    const made: Circuit = { ...withoutStamps<Circuit>(stored), state: "SUCCEEDED", ...change };
    return await circuits.jobs.collection.replaceOne(made, { ifVersion: stored.version });
  };
  return { documents, circuits, add };
}
