// What a webhook may be, and how what is sent to it is signed: Standard Webhooks 1.0, so that a
// receiver checks it with any library of that standard.

import { createHmac, randomBytes } from "node:crypto";
import type { MonitoringConfig } from "../config.ts";
import { isPublicAddress, literalAddress } from "./public-address.ts";

const URL_LENGTH_MAX = 2048;
const PREFIX = "whsec_";
const KEY_BYTES_MIN = 24;
const KEY_BYTES_MAX = 64;
const KEY_BYTES_MADE = 32;

/** Which hosts may be reached. */
export type WebhookHosts = MonitoringConfig["webhookHosts"];

/**
 * What is wrong with a URL, or undefined. A host name is looked at again when it is resolved, each
 * time something is sent.
 */
export function webhookUrlFault(text: string, hosts: WebhookHosts): string | undefined {
  const url = URL.parse(text);
  if (text.length > URL_LENGTH_MAX) {
    return `has ${text.length} characters; at most ${URL_LENGTH_MAX}`;
  }
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    return "must be an absolute http or https URL";
  }
  if (url.username !== "" || url.password !== "") {
    return "must hold no user name or password; receivers check the signature instead";
  }
  return hosts === "public" ? hostFault(url.hostname) : undefined;
}

/** What is wrong with a secret, or undefined. */
export function secretFault(secret: string): string | undefined {
  const key = keyOf(secret);
  const isRight = key !== undefined && key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX;
  return isRight
    ? undefined
    : `must be ${PREFIX} and base64 of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes, or empty for ` +
        "one that the server makes";
}

/** A new secret. */
export function newSecret(): string {
  return PREFIX + randomBytes(KEY_BYTES_MADE).toString("base64");
}

/** The headers of one attempt to send a message. */
export function webhookHeaders(message: {
  readonly id: string;
  readonly timestampSeconds: number;
  readonly body: string;
  readonly secret: string;
}): Readonly<Record<string, string>> {
  const { id, timestampSeconds, body, secret } = message;
  const signed = createHmac("sha256", keyOf(secret) ?? Buffer.alloc(0))
    .update(`${id}.${timestampSeconds}.${body}`)
    .digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": `v1,${signed}`,
  };
}

function hostFault(hostname: string): string | undefined {
  const address = literalAddress(hostname);
  const name = hostname.replace(/\.$/, "");
  const isLocal = name === "localhost" || name.endsWith(".localhost");
  if (isLocal || (address !== undefined && !isPublicAddress(address))) {
    return `names ${hostname}, which is not on the public internet; this mesh allows no other hosts`;
  }
  return undefined;
}

function keyOf(secret: string): Buffer | undefined {
  const text = secret.slice(PREFIX.length);
  const key = Buffer.from(text, "base64");
  const unpadded = (base64: string): string => base64.replace(/=+$/, "");
  const isWhole = unpadded(key.toString("base64")) === unpadded(text);
  return secret.startsWith(PREFIX) && isWhole ? key : undefined;
}
