// For tests: webhook endpoints that behave well or badly, on real sockets.

import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { onTestFinished } from "vitest";

/** One request as it came. */
export interface Received {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** Requests that are being answered now, and the most that ever were. */
  readonly load: { now: number; most: number };
}

export type Answer = (response: ServerResponse, request: Received, nth: number) => void;

/** An endpoint that answers like this, from the first request on; ends with the test. */
export async function useReceiver(answer: Answer = ok): Promise<Receiver> {
  const received: Received[] = [];
  const load = { now: 0, most: 0 };
  const server = createServer((request, response) => {
    load.now += 1;
    load.most = Math.max(load.most, load.now);
    response.once("close", () => {
      load.now -= 1;
    });
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.once("end", () => {
      const one = { headers: request.headers, body };
      received.push(one);
      answer(response, one, received.length);
    });
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/hook`, received, load };
}

/** Takes it. */
export function ok(response: ServerResponse): void {
  response.end("thanks");
}

/** Never answers. */
export function hang(): void {}

/** Answers a byte at a time and never ends; the head comes, but never the end of the body. */
export function dripBody(status: number): Answer {
  return (response) => {
    response.writeHead(status);
    const timer = setInterval(() => response.write("."), 20);
    response.once("close", () => clearInterval(timer));
  };
}

/** Sends bytes of a head that never ends. */
export function dripHead(response: ServerResponse): void {
  const { socket } = response;
  socket?.write("HTTP/1.1 200 OK\r\n");
  const timer = setInterval(() => socket?.write("x-drip: 1\r\n"), 20);
  response.once("close", () => clearInterval(timer));
  socket?.once("close", () => clearInterval(timer));
}

/** Answers with a body without end, as fast as it is read. */
export function flood(response: ServerResponse): void {
  response.writeHead(200);
  const chunk = Buffer.alloc(65_536);
  const pour = (): void => {
    while (!response.destroyed && response.write(chunk)) {
      // As much as fits.
    }
  };
  response.on("drain", pour);
  pour();
}

/** Answers with a status. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return (response) => {
    response.writeHead(code, { ...headers });
    response.end("no");
  };
}

/** Closes without an answer. */
export function close(response: ServerResponse): void {
  response.socket?.destroy();
}

/** Whether a request is signed with the secret, checked as a receiver does. */
export function isSigned({ headers, body }: Received, secret: string): boolean {
  const id = String(headers["webhook-id"]);
  const timestamp = String(headers["webhook-timestamp"]);
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const wanted = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return headers["webhook-signature"] === `v1,${wanted}`;
}
