// The gateway's settings: where it listens, which web pages may call it, and its limits.

import type { ConfigOf } from "../common/config.ts";
import { bytes, duration, hostPort, integer, list, text } from "../common/setting.ts";

/** What `corsOrigins` calls pages of this machine; what `allowedHosts` calls its names. */
export const LOOPBACK = "loopback";

/** Every origin, or every host. */
export const ANY = "*";

const ORIGIN =
  /^(\*|loopback|https?:\/\/[a-z0-9.-]+(:\d{1,5})?|https?:\/\/\[[0-9a-f:]+\](:\d{1,5})?)$/;
const HOST = /^(\*|auto|[a-z0-9._-]+|\[[0-9a-f:]+\])$/;

export const gatewaySettings = {
  listen: hostPort({
    env: "PLINTH_GATEWAY_LISTEN",
    default: "127.0.0.1:8080",
    about: "Where the web port listens.",
  }),
  corsOrigins: list(
    text({
      env: "PLINTH_GATEWAY_CORS_ORIGINS",
      must: { match: ORIGIN, be: 'an origin such as "https://app.example.com", "loopback" or "*"' },
      about: "Origins whose pages may call the gateway; `loopback` is any page of this machine.",
    }),
    { default: LOOPBACK },
  ),
  allowedHosts: list(
    text({
      env: "PLINTH_GATEWAY_ALLOWED_HOSTS",
      must: { match: HOST, be: 'a host name without port, "auto" or "*"' },
      about:
        "Host names that requests may be addressed to. `auto`: loopback names on a loopback " +
        "listener, any on another.",
    }),
    { default: "auto" },
  ),
  bodyBytesMax: bytes({
    env: "PLINTH_GATEWAY_BODY_MAX",
    default: "64MiB",
    min: "1KiB",
    max: "2GiB",
    about: "Largest request body, and largest message of a stream; after decompression.",
  }),
  jsonBytesMax: bytes({
    env: "PLINTH_GATEWAY_JSON_MAX",
    default: "16MiB",
    min: "1KiB",
    max: "512MiB",
    about: "Largest JSON part of a REST inference; more goes in the binary extension.",
  }),
  requestsMax: integer({
    env: "PLINTH_GATEWAY_REQUESTS_MAX",
    default: 1024,
    min: 1,
    max: 65_536,
    about: "Requests and streams under way at once; one more is refused with 429.",
  }),
  connectionsMax: integer({
    env: "PLINTH_GATEWAY_CONNECTIONS_MAX",
    default: 4096,
    min: 1,
    max: 65_536,
    about: "Open connections; one more is closed at once.",
  }),
  requestTimeoutMs: duration({
    env: "PLINTH_GATEWAY_REQUEST_TIMEOUT",
    default: "60s",
    min: "10ms",
    max: "1h",
    about:
      "Deadline of a unary call that brings none; the time that a body and an answer have to " +
      "pass unless they are streams.",
  }),
  headersTimeoutMs: duration({
    env: "PLINTH_GATEWAY_HEADERS_TIMEOUT",
    default: "15s",
    min: "50ms",
    max: "5m",
    about: "Time a connection has to send the headers of a request.",
  }),
  idleTimeoutMs: duration({
    env: "PLINTH_GATEWAY_IDLE_TIMEOUT",
    default: "75s",
    min: "1s",
    max: "1h",
    about: "A connection without a request is closed after this.",
  }),
  drainGraceMs: duration({
    env: "PLINTH_GATEWAY_DRAIN_GRACE",
    default: "10s",
    max: "10m",
    about: "How long requests under way may go on when the gateway stops.",
  }),
};

export type GatewayConfig = ConfigOf<typeof gatewaySettings>;
