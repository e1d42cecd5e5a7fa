// A process of its own that calls snarkjs as it comes, for tests: to be the outsider who contributes
// with another program, and to make the broken files that our own code refuses to make. Called with
// the name of a function and its arguments as JSON; prints what it gives.

import { createHash } from "node:crypto";
import { buildBn128, ChaCha } from "ffjavascript";
import * as snarkjs from "snarkjs";

const [name = "", parameters = "[]"] = process.argv.slice(2);
const given = JSON.parse(parameters) as unknown[];

if (name === "make-ptau") {
  const [path, power] = given as [string, number];
  const { powersOfTau } = snarkjs;
  await powersOfTau.newAccumulator(await buildBn128(false), power, `${path}.0`);
  await powersOfTau.contribute(`${path}.0`, `${path}.1`, "a party", "not secret: for tests");
  await powersOfTau.preparePhase2(`${path}.1`, path);
} else if (name === "beacon-secret") {
  const [beacon, iterations] = given as [string, number];
  let hash = Buffer.from(beacon, "hex");
  for (let i = 0; i < 2 ** iterations; i += 1) hash = createHash("sha256").update(hash).digest();
  const seed = Array.from({ length: 8 }, (_, i) => hash.readUInt32BE(4 * i));
  const { Fr } = await buildBn128(false);
  process.stdout.write(JSON.stringify(Fr.toString(Fr.fromRng(new ChaCha(seed)))));
} else {
  const [part = "", method = ""] = name.split(".");
  const parts = snarkjs as unknown as Record<
    string,
    Record<string, (...all: unknown[]) => unknown>
  >;
  const result = await parts[part]?.[method]?.(...given);
  const hex = result instanceof Uint8Array ? Buffer.from(result).toString("hex") : result;
  process.stdout.write(JSON.stringify(hex ?? null));
}
await (await buildBn128(false)).terminate();
