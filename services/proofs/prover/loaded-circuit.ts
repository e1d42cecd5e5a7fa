// Circuits and keys that proofs were asked of last, read and prepared: of a circuit that proves all
// day the files are read once.

import { readFile, stat } from "node:fs/promises";
import type { ConstraintSystem } from "../circuit/constraint-system.ts";
import { readR1cs } from "../circuit/r1cs-file.ts";
import { type PreparedKey, prepareKey } from "../verifier/groth16.ts";
import type { KeyDescription } from "./groth16/prove-messages.ts";
import { assertForgeryResistant } from "./key-record.ts";
import { readZkey, type ZkeyInfo } from "./zkey-file.ts";

/** A large circuit is 100 MB in memory. */
const KEPT = 3;

/** A key that proofs may be made with. */
export interface LoadedKey {
  readonly info: ZkeyInfo;
  readonly prepared: PreparedKey;
  /** What the threads read their shares by. One object for one file, as long as it is kept. */
  readonly description: KeyDescription;
}

/** Files read lately; one that has changed since is read again. */
class FileCache<T> {
  readonly #read: (path: string) => Promise<T>;
  readonly #kept = new Map<string, T>();

  constructor(read: (path: string) => Promise<T>) {
    this.#read = read;
  }

  async get(path: string): Promise<T> {
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    const key = `${path}\n${size} ${mtimeNs} ${ino}`;
    const value = this.#kept.get(key) ?? (await this.#read(path));
    this.#kept.delete(key);
    this.#kept.set(key, value);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
    return value;
  }
}

const circuits = new FileCache(async (path) => readR1cs(await readFile(path)));

const keys = new FileCache(async (path): Promise<LoadedKey> => {
  const info = await readZkey(path);
  assertForgeryResistant(info);
  const { places, wires, publicValues, domain } = info;
  const description = { path, places, wires, publicValues, domain };
  return { info, prepared: prepareKey(info.verifyingKey), description };
});

/** The circuit of a .r1cs file. */
export function loadCircuit(path: string): Promise<ConstraintSystem> {
  return circuits.get(path);
}

/**
 * The Groth16 key of a .zkey file.
 *
 * @throws InvalidArgument where the file is not a key; FailedPrecondition where proofs can be forged
 *   with it.
 */
export function loadKey(path: string): Promise<LoadedKey> {
  return keys.get(path);
}
