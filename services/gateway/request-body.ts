// The body of a REST request, whole and within limits, with its Content-Encoding undone.

import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { HttpFailure } from "./failure.ts";
import type { WebRequest } from "./web-port.ts";

const decoders = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
};

/**
 * Reads the body.
 * @throws HttpFailure 413 above `bytesMax`, before or after decompression; 415 for an unknown
 *   encoding; 400 for a body that ends early or cannot be decompressed.
 */
export async function readBody(request: WebRequest, bytesMax: number): Promise<Buffer> {
  const encoding = request.headers["content-encoding"]?.toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip" && encoding !== "deflate") {
    throw new HttpFailure(
      415,
      `The Content-Encoding ${JSON.stringify(encoding.slice(0, 100))} is not supported; send ` +
        "gzip, deflate or none.",
      { "accept-encoding": "gzip, deflate" },
    );
  }
  const body = await collect(request, bytesMax);
  if (encoding === "identity") {
    return body;
  }
  try {
    return await decoders[encoding](body, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(`more than ${bytesMax} bytes after decompression`, bytesMax);
    }
    throw new HttpFailure(400, `The body is not valid ${encoding}: it is damaged or cut short.`);
  }
}

function collect(request: WebRequest, bytesMax: number): Promise<Buffer> {
  const announced = Number(request.headers["content-length"] ?? 0);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (what: string): void => {
      request.off("data", onData);
      // The rest is read and thrown away, so that the caller gets to read the answer.
      request.resume();
      reject(tooLarge(what, bytesMax));
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > bytesMax) {
        refuse(`more than ${bytesMax} bytes`);
        return;
      }
      chunks.push(chunk);
    };
    if (announced > bytesMax) {
      refuse(`${announced} bytes`);
      return;
    }
    request.on("data", onData);
    request.once("end", () => resolve(Buffer.concat(chunks, size)));
    const cutShort = (): void =>
      reject(new HttpFailure(400, "The body ended before it was whole."));
    request.once("close", cutShort);
    request.once("aborted", cutShort);
  });
}

function tooLarge(what: string, bytesMax: number): HttpFailure {
  return new HttpFailure(
    413,
    `The body has ${what}; this gateway takes up to ${bytesMax}. Send fewer rows a request, use ` +
      "the gRPC stream, or raise PLINTH_GATEWAY_BODY_MAX.",
  );
}
