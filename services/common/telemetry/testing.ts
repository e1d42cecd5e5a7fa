// For tests: a collector that takes real OTLP, over HTTP and over gRPC, and shows the spans it got.
// Reads the few fields it needs by their numbers in opentelemetry/proto/trace/v1/trace.proto.

import { createServer, type IncomingMessage } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { gunzipSync } from "node:zlib";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { onTestFinished } from "vitest";
import { type Env, parseSettings } from "../config.ts";
import { type TelemetryConfig, telemetrySettings } from "./settings.ts";

export interface ReceivedSpan {
  readonly service: string;
  readonly scope: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: a root. */
  readonly parentSpanId: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 0 unset, 1 OK, 2 error. */
  readonly statusCode: number;
}

/** The telemetry settings of an environment. */
export function telemetryConfig(env: Env = {}): TelemetryConfig {
  return parseSettings(env, telemetrySettings);
}

export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string;
  /** For OTEL_EXPORTER_OTLP_PROTOCOL. */
  readonly protocol: "http/protobuf" | "grpc";
  /** Every span received so far, in order of arrival. */
  readonly spans: readonly ReceivedSpan[];
  /** The names of every metric received so far. */
  readonly metricNames: ReadonlySet<string>;
  /** Resolves when a span with this name has arrived; the test's timeout is its patience. */
  span(name: string): Promise<ReceivedSpan>;
}

/** A collector on a free port of loopback that ends with the running test. */
export async function useOtlpReceiver(
  protocol: "http/protobuf" | "grpc" = "http/protobuf",
): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metricNames = new Set<string>();
  const arrivals = new EventTarget();
  const take = (path: string, body: Uint8Array): void => {
    if (/\/v1\/traces$|TraceService\/Export$/.test(path)) {
      spans.push(...readSpans(body));
    } else if (/\/v1\/metrics$|MetricsService\/Export$/.test(path)) {
      readMetricNames(body, metricNames);
    }
    arrivals.dispatchEvent(new Event("arrival"));
  };
  const server = protocol === "grpc" ? grpcServer(take) : httpServer(take);
  const endpoint = await listen(server);
  return {
    endpoint,
    protocol,
    spans,
    metricNames,
    span: (name) =>
      new Promise((resolve) => {
        const look = (): void => {
          const span = spans.find((one) => one.name === name);
          if (span !== undefined) {
            arrivals.removeEventListener("arrival", look);
            resolve(span);
          }
        };
        arrivals.addEventListener("arrival", look);
        look();
      }),
  };
}

type Take = (path: string, body: Uint8Array) => void;

function httpServer(take: Take): Server {
  return createServer(async (request: IncomingMessage, response) => {
    const body = Buffer.concat(await request.toArray());
    const zipped = request.headers["content-encoding"] === "gzip";
    take(request.url ?? "", zipped ? gunzipSync(body) : body);
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
}

/** A unary gRPC call is one length-prefixed message each way and a status in the trailers. */
function grpcServer(take: Take): Server {
  const server = createHttp2Server();
  server.on("stream", async (stream: ServerHttp2Stream, headers) => {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    const framed: Buffer = Buffer.concat(await stream.toArray());
    take(String(headers[":path"]), framed.subarray(5));
    stream.end(Buffer.alloc(5));
  });
  return server;
}

async function listen(server: Server): Promise<string> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Field = Uint8Array | bigint | number;

/** A message's fields by number; nested ones are still bytes. */
function fields(bytes: Uint8Array): Map<number, Field[]> {
  const found = new Map<number, Field[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const values = found.get(number) ?? [];
    found.set(number, values);
    switch (wireType) {
      case WireType.LengthDelimited:
        values.push(reader.bytes());
        break;
      case WireType.Varint:
        values.push(BigInt(reader.int64()));
        break;
      case WireType.Bit64:
        values.push(reader.double());
        break;
      default:
        reader.skip(wireType);
    }
  }
  return found;
}

function nested(message: Map<number, Field[]>, number: number): Map<number, Field[]>[] {
  return (message.get(number) ?? []).map((value) => fields(value as Uint8Array));
}

function textOf(message: Map<number, Field[]> | undefined, number: number): string {
  return Buffer.from((message?.get(number)?.[0] as Uint8Array) ?? []).toString("utf8");
}

function hexOf(message: Map<number, Field[]>, number: number): string {
  return Buffer.from((message.get(number)?.[0] as Uint8Array) ?? []).toString("hex");
}

/** KeyValue { key = 1, value = 2 }; AnyValue { string = 1, bool = 2, int = 3, double = 4 }. */
function attributesOf(message: Map<number, Field[]>, number: number): Record<string, unknown> {
  return Object.fromEntries(
    nested(message, number).map((pair) => {
      const value = nested(pair, 2)[0];
      const scalar = value?.get(2)?.[0] ?? value?.get(3)?.[0] ?? value?.get(4)?.[0];
      return [
        textOf(pair, 1),
        value?.has(1) ? textOf(value, 1) : typeof scalar === "bigint" ? Number(scalar) : scalar,
      ];
    }),
  );
}

function readSpans(body: Uint8Array): ReceivedSpan[] {
  return nested(fields(body), 1).flatMap((resourceSpans) => {
    const service = nested(resourceSpans, 1).map((r) => attributesOf(r, 1)["service.name"])[0];
    return nested(resourceSpans, 2).flatMap((scopeSpans) => {
      const scope = textOf(nested(scopeSpans, 1)[0], 1);
      return nested(scopeSpans, 2).map((span) => ({
        service: String(service),
        scope,
        name: textOf(span, 5),
        traceId: hexOf(span, 1),
        spanId: hexOf(span, 2),
        parentSpanId: hexOf(span, 4),
        kind: Number(span.get(6)?.[0] ?? 0),
        attributes: attributesOf(span, 9),
        links: nested(span, 13).map((l) => ({ traceId: hexOf(l, 1), spanId: hexOf(l, 2) })),
        statusCode: Number(nested(span, 15)[0]?.get(3)?.[0] ?? 0),
      }));
    });
  });
}

function readMetricNames(body: Uint8Array, into: Set<string>): void {
  for (const resourceMetrics of nested(fields(body), 1)) {
    for (const scopeMetrics of nested(resourceMetrics, 2)) {
      for (const metric of nested(scopeMetrics, 2)) {
        into.add(textOf(metric, 1));
      }
    }
  }
}
