// For tests of receipts: keys in a folder of their own, a log over a store, receipts that differ.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../../common/clock.ts";
import type { DocumentStore } from "../../../common/documents/port.ts";
import { sha256 } from "../../../common/receipts/sha256.ts";
import type { LogTrust } from "../check-receipt.ts";
import { openLogCollections } from "../log-documents.ts";
import { encodeReceipt, type InferenceFacts, receiptPrefix } from "../receipt.ts";
import { ReceiptLog, type ReceiptLogOptions } from "../receipt-log.ts";
import { SigningKeys } from "../signing-key.ts";

export const WORKSPACE = "workspaces/acme";
const LOG_NAME = "plinth.example.com";

/** 2025-11-20T12:00:00Z in microseconds. */
export const START_US = 1_763_640_000_000_000;

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

export const MODEL_FILE = new TextEncoder().encode("the bytes of an ONNX file");

/** The receipt of inference number `i`. */
export function receiptOf(
  keys: SigningKeys,
  i: number,
  facts: Partial<InferenceFacts> = {},
): Uint8Array {
  const prefix = receiptPrefix({
    keyId: keys.current.keyId,
    workspace: WORKSPACE,
    deployment: `${WORKSPACE}/deployments/churn`,
    modelVersion: `${WORKSPACE}/models/churn/versions/3`,
    modelDigest: sha256(MODEL_FILE),
  });
  return encodeReceipt(prefix, {
    timeUs: START_US + i,
    rows: 1,
    inferenceId: `inference-${i}`,
    context: new Uint8Array(0),
    inputDigest: sha256(Buffer.from(`input ${i}`)),
    outputDigest: sha256(Buffer.from(`output ${i}`)),
    ...facts,
  });
}

/** Receipts number `from` to, not with, `to`. */
export function receiptsOf(keys: SigningKeys, from: number, to: number): Uint8Array[] {
  return Array.from({ length: to - from }, (_, i) => receiptOf(keys, from + i));
}
