// What the MongoDB driver's errors become.

import { MongoError, MongoServerError } from "mongodb";
import { DomainError } from "../errors/domain-error.ts";
import { storageFull, unavailable } from "./document-errors.ts";

const DUPLICATE_KEY = 11_000;
const OUT_OF_DISK_SPACE = 14_031;

/**
 * Server errors that say "not now": elections, shutdown, time limits, write concern not reached.
 */
const PASSING_CODES = new Set([
  6, 7, 50, 64, 89, 91, 100, 112, 189, 202, 262, 9_001, 10_058, 10_107, 11_600, 11_602, 13_435,
  13_436,
]);

/** True when a key of a unique index (`_id` is one) was taken. */
export function isDuplicate(error: unknown): boolean {
  if (!(error instanceof MongoServerError)) return false;
  // FerretDB passes its SQLite's own words on when an update does it.
  return error.code === DUPLICATE_KEY || /UNIQUE constraint failed/i.test(error.message);
}

/** True when the server does not know an option of an index. */
export function isRefused(error: unknown): boolean {
  return error instanceof MongoServerError && !isDuplicate(error) && !isPassing(error);
}

/** Any error of the driver as the port's; others as they are. */
function mapMongoError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  if (!(error instanceof MongoError)) {
    // A socket that ends while the driver writes to it is passed on as it is.
    return isSystemError(error) ? unavailable("the connection broke", error) : error;
  }
  if (error instanceof MongoServerError) {
    if (error.code === OUT_OF_DISK_SPACE || /disk is full|no space left/i.test(error.message)) {
      return storageFull(error);
    }
    return isPassing(error) ? unavailable("the server cannot do it now", error) : error;
  }
  return unavailable("the server does not answer", error);
}

/** Runs calls of the driver with their errors mapped. */
export async function mapped<R>(run: () => Promise<R>): Promise<R> {
  try {
    return await run();
  } catch (error) {
    throw mapMongoError(error);
  }
}

function isSystemError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" && /^E(?!RR_)[A-Z0-9]+$/.test(code);
}

function isPassing(error: MongoServerError): boolean {
  return (
    PASSING_CODES.has(Number(error.code)) ||
    error.hasErrorLabel("RetryableWriteError") ||
    /database is locked|context (canceled|deadline exceeded)/i.test(error.message)
  );
}
