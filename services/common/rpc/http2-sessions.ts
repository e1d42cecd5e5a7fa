// The HTTP/2 side of the gRPC server: windows, limits against peers that misbehave, and the
// connections that are open, each pinged now and then.

import { readFile } from "node:fs/promises";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";

/** What a client may send on one stream, and on one connection, before we have read it. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * What may wait to be sent on one connection before it takes no more calls: a thousand streams that
 * all wait for a slow reader at once stay below.
 */
const SESSION_MEMORY_MIB = 256;

/**
 * Calls that a client may reset in a burst and then each second on one connection; beyond, it is
 * closed. nghttp2's own limits (1000 and 33) are soon reached by an honest client whose deadlines
 * are short.
 */
const RESET_BURST = 20_000;
const RESETS_PER_SECOND = 2000;

/** A connection that shows no sign of life for this long is pinged. */
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** PEM files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * A server that does not listen yet; without TLS files, for plain text.
 * @throws when a TLS file cannot be read.
 */
export async function createHttp2Server(
  tls: TlsFiles | undefined,
  streamsPerConnectionMax: number,
): Promise<Http2Server> {
  const http2Options = {
    settings: {
      maxConcurrentStreams: streamsPerConnectionMax,
      initialWindowSize: STREAM_WINDOW_BYTES,
      enablePush: false,
    },
    maxSessionMemory: SESSION_MEMORY_MIB,
    streamResetBurst: RESET_BURST,
    streamResetRate: RESETS_PER_SECOND,
  };
  if (tls === undefined) {
    return createServer(http2Options);
  }
  const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
  return createSecureServer({ ...http2Options, cert, key }) as unknown as Http2Server;
}

/** The open connections of a server, from its beginning on. */
export class Connections {
  readonly #sessions = new Set<ServerHttp2Session>();
  /** A session lets go of its socket before the socket has sent everything. */
  readonly #sockets = new Set<Socket>();

  constructor(server: Http2Server, { isTls }: { readonly isTls: boolean }) {
    server.on(isTls ? "secureConnection" : "connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      const stopPings = keepAlive(session);
      session.on("close", () => {
        stopPings();
        this.#sessions.delete(session);
      });
      // A broken connection closes its streams, and each call hears of it there.
      session.on("error", () => undefined);
    });
  }

  /** Tells every peer to open no more streams; resolves when all that they opened was answered. */
  async close(): Promise<void> {
    const sent = [...this.#sockets].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once("finish", resolve);
          socket.once("close", resolve);
        }),
    );
    for (const session of this.#sessions) {
      session.close();
    }
    await Promise.all(sent);
  }

  /** Ends every connection at once, with whatever runs on it. */
  destroy(): void {
    for (const session of this.#sessions) {
      session.destroy();
    }
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }
}

/**
 * Pings a connection now and then, so that one whose peer is gone does not hold its calls for ever.
 */
function keepAlive(session: ServerHttp2Session): () => void {
  const timer = setInterval(() => {
    if (session.destroyed) {
      return;
    }
    const timeout = setTimeout(() => session.destroy(), KEEPALIVE_TIMEOUT_MS);
    timeout.unref();
    session.ping(() => clearTimeout(timeout));
  }, KEEPALIVE_TIME_MS);
  timer.unref();
  return () => clearInterval(timer);
}
