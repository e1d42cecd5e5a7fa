// One attempt to hand a message to a webhook. Whatever the other side does (hangs, drips, redirects,
// never ends its answer, is not there) it ends within the time given, and says what happened.

import { type LookupAddress, type LookupOptions, lookup as resolve } from "node:dns";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { isPublicAddress, literalAddress } from "./public-address.ts";
import type { WebhookHosts } from "./webhook.ts";

/** Read of an answer, so that the connection ends in order; nobody looks at it. */
const ANSWER_BYTES_MAX = 4096;
const HOST_REFUSED = "ERR_PLINTH_HOST_REFUSED";
const MILLISECONDS = 1000;

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface WebhookOptions {
  readonly hosts: WebhookHosts;
  /** For all of it: the name, the connection, TLS and the answer. */
  readonly timeoutMs: number;
  /** Ends the attempt; its outcome is then not to be relied on. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch, to read a date in Retry-After. */
  readonly nowMs: number;
}

export interface WebhookOutcome {
  /** 0: no answer came. */
  readonly status: number;
  /** Empty: it was taken. */
  readonly error: string;
  /** It will never be taken. */
  readonly isGone: boolean;
  /** How long the receiver wants to be left alone; 0: it did not say. */
  readonly retryAfterMs: number;
}

/** Sends it once. Never throws. */
export async function sendWebhook(
  message: WebhookRequest,
  options: WebhookOptions,
): Promise<WebhookOutcome> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([timeout, options.signal]);
  let request: ClientRequest | undefined;
  try {
    request = begin(message, { hosts: options.hosts, signal });
    const answer = await answered(request, message.body);
    await drained(answer, signal);
    return outcomeOf(answer, options.nowMs);
  } catch (error) {
    const late = `no answer within ${options.timeoutMs} ms`;
    const text = timeout.aborted ? late : failureText(error);
    return { status: 0, error: text, isGone: false, retryAfterMs: 0 };
  } finally {
    request?.destroy();
  }
}

function begin(
  { url, headers, body }: WebhookRequest,
  options: { readonly hosts: WebhookHosts; readonly signal: AbortSignal },
): ClientRequest {
  const parsed = new URL(url);
  const address = literalAddress(parsed.hostname);
  const isPublicOnly = options.hosts === "public";
  if (isPublicOnly && address !== undefined && !isPublicAddress(address)) {
    throw Object.assign(new Error(address), { code: HOST_REFUSED });
  }
  const send = parsed.protocol === "https:" ? httpsRequest : httpRequest;
  return send(parsed, {
    method: "POST",
    // A connection of its own: nothing is shared with another message's fate.
    agent: false,
    signal: options.signal,
    ...(isPublicOnly ? { lookup: publicLookup } : {}),
    headers: {
      ...headers,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "user-agent": "plinth-monitoring",
      connection: "close",
    },
  });
}

/** The addresses that a name has now; those that are not public are as if they were not there. */
const publicLookup: LookupFunction = (hostname, options: LookupOptions, done) => {
  resolve(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    const open = error === null ? addresses.filter(({ address }) => isPublicAddress(address)) : [];
    const [first] = open;
    if (error !== null) {
      done(error, "");
    } else if (first === undefined) {
      done(Object.assign(new Error(hostname), { code: HOST_REFUSED }), "");
    } else if (options.all === true) {
      done(null, open);
    } else {
      done(null, first.address, first.family);
    }
  });
};

function answered(request: ClientRequest, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // More than one may come, and an unheard one would end the process.
    request.on("error", reject);
    request.end(body);
  });
}

/** What the answer says is in its head; its body is read so far as is polite. */
async function drained(answer: IncomingMessage, signal: AbortSignal): Promise<void> {
  answer.on("error", () => undefined);
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      bytes += (chunk as Buffer).length;
      if (bytes >= ANSWER_BYTES_MAX || signal.aborted) {
        return;
      }
    }
  } catch {
    // The head has come, and it counts.
  }
}

function outcomeOf(answer: IncomingMessage, nowMs: number): WebhookOutcome {
  const status = answer.statusCode ?? 0;
  const retryAfterMs = readRetryAfter(answer.headers["retry-after"], nowMs);
  if (status >= 200 && status < 300) {
    return { status, error: "", isGone: false, retryAfterMs: 0 };
  }
  const error =
    status >= 300 && status < 400
      ? `answered ${status}, a redirect, which is not followed; set the url it leads to`
      : status === 410
        ? "answered 410: it is gone for good"
        : `answered ${status}`;
  return { status, error, isGone: status === 410, retryAfterMs };
}

/** Seconds or a date. */
function readRetryAfter(header: string | undefined, nowMs: number): number {
  if (header === undefined) {
    return 0;
  }
  const ms = /^\d{1,9}$/.test(header.trim())
    ? Number(header) * MILLISECONDS
    : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** What went wrong, without addresses of the network that the name led to. */
function failureText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case HOST_REFUSED:
      return "the host is not on the public internet, and this mesh reaches no other webhooks";
    case "ECONNREFUSED":
      return "the connection was refused";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name is not known";
    case "ECONNRESET":
    case "EPIPE":
      return "the connection was closed before an answer came";
    case "ETIMEDOUT":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "the host cannot be reached";
    case "ABORT_ERR":
      return "the attempt was cut off";
    default:
      return code === ""
        ? "the attempt failed"
        : /CERT|TLS|SSL|SELF_SIGNED|ISSUER|ALTNAME/.test(code)
          ? `TLS failed: ${code}`
          : `the attempt failed: ${code}`;
  }
}
