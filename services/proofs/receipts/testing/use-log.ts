// For tests of receipts: keys in a folder of their own, and a log over a store.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../../common/clock.ts";
import type { DocumentStore } from "../../../common/documents/port.ts";
import type { LogTrust } from "../check-receipt.ts";
import { openLogCollections } from "../log-documents.ts";
import { ReceiptLog, type ReceiptLogOptions } from "../receipt-log.ts";
import { SigningKeys } from "../signing-key.ts";
import { WORKSPACE } from "./inferences.ts";

const LOG_NAME = "plinth.example.com";

/** A folder that is removed with the test. */
export async function useFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "plinth-receipts-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function useKeys(): Promise<SigningKeys> {
  return SigningKeys.open(join(await useFolder(), "receipt-keys"));
}

/** A log that flushes quickly and is closed with the test. */
export async function useLog(
  documents: DocumentStore,
  keys: SigningKeys,
  options: Partial<ReceiptLogOptions> = {},
): Promise<ReceiptLog> {
  const log = new ReceiptLog({
    collections: await openLogCollections(documents),
    keys,
    clock: systemClock,
    workspace: WORKSPACE,
    logName: LOG_NAME,
    flushIntervalMs: 1,
    waitingMax: 100_000,
    ...options,
  });
  onTestFinished(() => log[Symbol.asyncDispose]());
  return log;
}

export function trustIn(keys: SigningKeys): LogTrust {
  return {
    origin: `${LOG_NAME}/${WORKSPACE}`,
    publicKeys: keys.publicKeys.map(({ publicKey }) => publicKey),
  };
}
