// Which web pages may call the gateway, and by which names. A mesh without keys trusts whoever
// reaches it, and every page open in the user's browser reaches loopback; so a request is refused
// when it comes from a page that is not allowed, or is addressed to a name that is not ours (DNS
// rebinding).

import type { IncomingHttpHeaders } from "node:http";
import { cors } from "@connectrpc/connect";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { isLoopback } from "../common/auth/listen.ts";
import { PermissionDenied } from "../common/errors/domain-error.ts";
import { ANY, LOOPBACK } from "./config.ts";

/** What pages may send, besides what the Connect protocols need. */
const REQUEST_HEADERS = [
  "Authorization",
  "Plinth-Workspace",
  "Traceparent",
  "Tracestate",
  "Inference-Header-Content-Length",
  "Content-Encoding",
];

/** What pages may read, besides what the Connect protocols need. */
const RESPONSE_HEADERS = ["Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate"];

const ALLOWED_HEADERS = [...new Set([...cors.allowedHeaders, ...REQUEST_HEADERS])].join(", ");
const EXPOSED_HEADERS = [...new Set([...cors.exposedHeaders, ...RESPONSE_HEADERS])].join(", ");
const ALLOWED_METHODS = [...cors.allowedMethods, "HEAD", "OPTIONS"].join(", ");

/** How long a browser remembers a preflight: the most that Chromium honours. */
const MAX_AGE_S = "7200";

export interface PagePolicyOptions {
  readonly listenHost: string;
  /** Origins, `loopback`, or `*`. */
  readonly corsOrigins: readonly string[];
  /** Host names, `auto`, or `*`. */
  readonly allowedHosts: readonly string[];
}

export interface PagePolicy {
  /** Headers for the answer to a request of this origin; empty when it may not read the answer. */
  responseHeaders(origin: string | undefined): Readonly<Record<string, string>>;
  /** Headers of the answer to a preflight. */
  preflightHeaders(origin: string | undefined): Readonly<Record<string, string>>;
  /** @throws PermissionDenied when the host or the origin is not allowed. */
  check(headers: IncomingHttpHeaders, authority: string | undefined): void;
}

/** The policy that the settings describe. */
export function pagePolicy(options: PagePolicyOptions): PagePolicy {
  const responseHeaders = (origin: string | undefined): Record<string, string> => {
    const headers: Record<string, string> = { vary: "Origin" };
    if (origin !== undefined && isAllowedOrigin(origin, options.corsOrigins)) {
      headers["access-control-allow-origin"] = origin;
      headers["access-control-expose-headers"] = EXPOSED_HEADERS;
    }
    return headers;
  };
  return {
    responseHeaders,
    preflightHeaders(origin) {
      const headers = responseHeaders(origin);
      if (headers["access-control-allow-origin"] === undefined) {
        return headers;
      }
      return {
        ...headers,
        "access-control-allow-methods": ALLOWED_METHODS,
        "access-control-allow-headers": ALLOWED_HEADERS,
        "access-control-max-age": MAX_AGE_S,
      };
    },
    check(headers, authority) {
      checkHost(authority, options);
      const origin = headers.origin;
      if (
        origin !== undefined &&
        !isAllowedOrigin(origin, options.corsOrigins) &&
        !isSameOrigin(origin, authority)
      ) {
        throw new PermissionDenied(
          `Pages of ${JSON.stringify(origin.slice(0, 200))} may not call this gateway. Add the ` +
            "origin to PLINTH_GATEWAY_CORS_ORIGINS to allow it.",
          { reason: ErrorReason.PERMISSION_DENIED },
        );
      }
    },
  };
}

function checkHost(authority: string | undefined, options: PagePolicyOptions): void {
  const name = hostName(authority ?? "");
  const allowed = options.allowedHosts.some((host) => {
    switch (host) {
      case ANY:
        return true;
      case "auto":
        return !isLoopback(options.listenHost) || (name !== undefined && isLoopback(name));
      default:
        return host === name;
    }
  });
  if (name === undefined || !allowed) {
    throw new PermissionDenied(
      `The request is addressed to ${JSON.stringify((authority ?? "").slice(0, 200))}, which is ` +
        "no name of this gateway. If a proxy sends it, add it to PLINTH_GATEWAY_ALLOWED_HOSTS.",
      { reason: ErrorReason.PERMISSION_DENIED },
    );
  }
}

/** The host of "name:port", lower-case; IPv6 with its brackets. Undefined when it is not one. */
function hostName(authority: string): string | undefined {
  if (authority === "" || /[\s/?#@\\]/.test(authority)) {
    return undefined;
  }
  return URL.parse(`http://${authority}`)?.hostname.toLowerCase();
}

function isAllowedOrigin(origin: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    switch (entry) {
      case ANY:
        return true;
      case LOOPBACK:
        return isLoopbackOrigin(origin);
      default:
        return entry === origin.toLowerCase();
    }
  });
}

function isLoopbackOrigin(origin: string): boolean {
  const url = URL.parse(origin);
  return url !== null && /^https?:$/.test(url.protocol) && isLoopback(url.hostname);
}

function isSameOrigin(origin: string, authority: string | undefined): boolean {
  const url = URL.parse(origin);
  // The scheme is left out: behind a proxy that ends TLS the page says https and we see http.
  return url !== null && authority !== undefined && url.host === authority.toLowerCase();
}
