// Whom a receipt is believed for: the keys of its log, as they were pinned.

import { readFile } from "node:fs/promises";
import type { LogTrust } from "../proofs/receipts/check-receipt.ts";
import { parseVerifierKey } from "../proofs/receipts/check-receipt.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";

/**
 * The keys of the options: each a key, or a file with one a line; lines that begin with # say
 * nothing.
 * @throws CommandError where one is none, or they are of several logs; the file system's error.
 */
export async function trustOf(given: readonly string[]): Promise<LogTrust> {
  const texts: string[] = [];
  for (const one of given) {
    if (parseVerifierKey(one) === undefined) {
      texts.push(...linesOf(await readFile(one, "utf8")));
    } else {
      texts.push(one);
    }
  }
  const keys = texts.map((text) => {
    const key = parseVerifierKey(text);
    if (key === undefined) {
      throw unusable(`"${text.slice(0, 80)}" is no key of a log: expected origin+hash+key.`);
    }
    return key;
  });
  const [first] = keys;
  const other = keys.find(({ origin }) => origin !== first?.origin);
  if (first === undefined) {
    throw unusable("--key names a file without a key.");
  }
  if (other !== undefined) {
    throw unusable(
      `The keys are of two logs, ${first.origin} and ${other.origin}; give those of one.`,
    );
  }
  return { origin: first.origin, publicKeys: keys.map(({ publicKey }) => publicKey) };
}

function linesOf(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function unusable(message: string): CommandError {
  return new CommandError(message, {
    exitCode: ExitCode.invalidInput,
    advice: ['"plinth receipts head --keys keys.txt" writes the keys of a log.'],
  });
}
