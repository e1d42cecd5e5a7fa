// A server's stream that is opened again when it breaks: a server that restarts does not end a
// watch. Without news for about a minute it gives up.

import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../common/errors/domain-error.ts";
import type { Session } from "./session.ts";

/** Streams opened in a row without news, before it gives up. */
const TRIES_MAX = 12;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 8000;

/**
 * The messages of one stream after the other. `open` is called for each; what it gives may begin
 * with what was seen before. `tells`: a break is noted.
 */
export async function* reopened<T>(
  session: Session,
  open: () => AsyncIterable<T>,
  { tells = true }: { readonly tells?: boolean } = {},
): AsyncGenerator<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      for await (const message of open()) {
        tries = 1;
        yield message;
      }
    } catch (error) {
      const isBroken = error instanceof DomainError && error.kind === "Unavailable";
      if (!isBroken || tries >= TRIES_MAX) {
        throw error;
      }
      if (tries === 1 && tells) {
        session.output.note("The stream broke; opening it again.");
      }
    }
    if (tries >= TRIES_MAX) {
      return;
    }
    const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (tries - 1));
    await sleep(ms, undefined, { signal: session.signal }).catch(() =>
      session.signal.throwIfAborted(),
    );
  }
}
