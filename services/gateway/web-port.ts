// One TCP port that speaks HTTP/1.1 and HTTP/2 without TLS. Node has a server for each but none for
// both on plain text, so the first bytes of a connection decide which one gets it: HTTP/2 clients
// that know what they talk to begin with a fixed preface. Limits and draining are the same for
// both.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { listenFailure } from "../common/listen-failure.ts";

export type WebRequest = IncomingMessage | Http2ServerRequest;
export type WebResponse = ServerResponse | Http2ServerResponse;

export interface WebPortOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly connectionsMax: number;
  /** Time for the headers of a request, and for the first bytes of a connection. */
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly onRequest: (request: WebRequest, response: WebResponse) => void;
}

export interface WebPort {
  readonly port: number;
  /** "127.0.0.1:8080" */
  readonly address: string;
  /** Takes no new connections; those open end with the request they serve. */
  close(): void;
  /** Whether every request was answered within the time. */
  idle(withinMs: number): Promise<boolean>;
  /** Cuts every connection. */
  destroy(): void;
}

/**
 * What an HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4); no HTTP/1 method matches.
 */
const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Enough of the preface to tell it from POST, PUT and PATCH. */
const SNIFF_BYTES = 3;

const HEADER_BYTES_MAX = 16 * 1024;
const STREAMS_PER_CONNECTION = 256;
/** A peer that vanished without a word is noticed by TCP after this. */
const KEEPALIVE_MS = 60_000;
/** An answer without a body has no trailers to wait for; its stream is ended after this. */
const LATE_END_MS = 5000;
/** How often Node looks for connections that are late. */
const CHECK_MS_MAX = 5000;
/** How often a closing port looks whether its requests are answered. */
const IDLE_POLL_MS = 20;

/**
 * Starts listening; resolves once connections are taken.
 * @throws when the address is taken or not ours.
 */
export async function openWebPort(options: WebPortOptions): Promise<WebPort> {
  const open = new Set<WebResponse>();
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  let closing = false;
  const serve = (request: WebRequest, response: WebResponse): void => {
    open.add(response);
    response.once("close", () => open.delete(response));
    // An error on either is followed by `close`, which is what requests listen to.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    if ("stream" in request) {
      endWhenAnswered(request.stream);
    }
    if (closing && "shouldKeepAlive" in response) {
      response.shouldKeepAlive = false;
    }
    options.onRequest(request, response);
  };
  const http2 = http2Server(serve);
  http2.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setTimeout(options.idleTimeoutMs, () => {
      // A stream that is merely slow is no idleness.
      if (!hasStreams(session, open)) {
        session.close();
      }
    });
    if (closing) {
      session.close();
    }
  });
  const http1 = http1Server(options, serve);
  sniffConnections(http1, http2, sockets, options);
  const address = await listen(http1, options);
  return {
    port: address.port,
    address: `${options.host.includes(":") ? `[${options.host}]` : options.host}:${address.port}`,
    close() {
      closing = true;
      http1.close();
      for (const session of sessions) {
        session.close();
      }
      for (const response of open) {
        if ("shouldKeepAlive" in response) {
          response.shouldKeepAlive = false;
        }
      }
    },
    async idle(withinMs) {
      const end = Date.now() + withinMs;
      while (open.size > 0 && Date.now() < end) {
        await sleep(IDLE_POLL_MS);
      }
      return open.size === 0;
    },
    destroy() {
      http1.close();
      for (const session of sessions) {
        session.destroy();
      }
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

type Serve = (request: WebRequest, response: WebResponse) => void;

function http1Server(options: WebPortOptions, serve: Serve): Server {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: options.headersTimeoutMs,
      // A stream's body may take as long as it likes; the application times the others.
      requestTimeout: 0,
      keepAliveTimeout: options.idleTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_MS_MAX, options.headersTimeoutMs / 2),
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    },
    serve,
  );
  server.maxConnections = options.connectionsMax;
  return server;
}

/** Never listens: it gets its connections from the HTTP/1 server. */
function http2Server(serve: Serve): Http2Server {
  return createHttp2Server(
    {
      settings: {
        maxConcurrentStreams: STREAMS_PER_CONNECTION,
        maxHeaderListSize: HEADER_BYTES_MAX,
      },
    },
    serve,
  );
}

/** Puts the sniffing in front of the HTTP/1 server's own connection listener. */
function sniffConnections(
  http1: Server,
  http2: Http2Server,
  sockets: Set<Socket>,
  options: WebPortOptions,
): void {
  const [serveHttp1] = http1.listeners("connection") as ((socket: Socket) => void)[];
  http1.removeAllListeners("connection");
  http1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const late = (): void => void socket.destroy();
    socket.setTimeout(options.headersTimeoutMs, late);
    let start = Buffer.alloc(0);
    const onReadable = (): void => {
      const piece: Buffer | null = socket.read();
      if (piece === null) {
        return;
      }
      start = Buffer.concat([start, piece]);
      const compared = Math.min(start.length, HTTP2_PREFACE.length);
      const matches = start.subarray(0, compared).equals(HTTP2_PREFACE.subarray(0, compared));
      if (matches && compared < SNIFF_BYTES) {
        return;
      }
      socket.off("readable", onReadable);
      socket.off("end", late);
      socket.setTimeout(0);
      socket.off("timeout", late);
      // Once only: giving back what was read announces it as readable again.
      socket.unshift(start);
      if (matches) {
        http2.emit("connection", socket);
      } else {
        serveHttp1?.call(http1, socket);
      }
    };
    socket.on("readable", onReadable);
    socket.once("end", late);
  });
}

/**
 * Ends a stream that was answered before its request was read: HTTP/2 keeps it open until told
 * (RFC 9113, 8.1). Not before the trailers are out, which is why it waits a turn, or a while.
 */
function endWhenAnswered(stream: ServerHttp2Stream): void {
  const end = (): void => {
    if (!stream.destroyed && !stream.closed) {
      stream.close(constants.NGHTTP2_NO_ERROR);
    }
  };
  stream.once("wantTrailers", () => setImmediate(end));
  stream.once("finish", () => setTimeout(end, LATE_END_MS).unref());
}

function hasStreams(session: ServerHttp2Session, open: ReadonlySet<WebResponse>): boolean {
  for (const response of open) {
    if ("stream" in response && response.stream?.session === session) {
      return true;
    }
  }
  return false;
}

async function listen(server: Server, options: WebPortOptions): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(listenFailure(error, `${options.host}:${options.port}`));
    server.once("error", fail);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off("error", fail);
      resolve();
    });
  });
  return server.address() as AddressInfo;
}
