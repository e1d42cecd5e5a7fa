import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { FrameFault, FrameReader, frame } from "./grpc-frame.ts";

const MIB = 1024 * 1024;

function read(
  chunks: readonly Buffer[],
  options: { readonly bytesMax?: number; readonly encoding?: string } = {},
): { readonly messages: Buffer[]; readonly reader: FrameReader } {
  const reader = new FrameReader({
    bytesMax: options.bytesMax ?? 4 * MIB,
    encoding: options.encoding,
  });
  const messages: Buffer[] = [];
  for (const chunk of chunks) {
    reader.feed(chunk, (message) => messages.push(message));
  }
  return { messages, reader };
}

function faultOf(run: () => unknown): Code {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(FrameFault);
    return (error as FrameFault).code;
  }
  throw new Error("It was accepted.");
}

function flagged(flags: number, message: Uint8Array): Buffer {
  const framed = frame(message);
  framed[0] = flags;
  return framed;
}

/** A small generator of repeatable numbers below `below` (mulberry32). */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

describe("FrameReader", () => {
  it("finds the same messages wherever the bytes are split in three", () => {
    const expected = [Buffer.from("abc"), Buffer.alloc(0), Buffer.from("defghij"), Buffer.alloc(0)];
    const bytes = Buffer.concat(expected.map(frame));
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= bytes.length; second += 1) {
        const parts = [bytes.subarray(0, first), bytes.subarray(first, second)];
        const { messages, reader } = read([...parts, bytes.subarray(second)]);
        expect(messages).toEqual(expected);
        expect(reader.atBoundary).toBe(true);
      }
    }
  });

  it("finds the same messages in a seeded thousand of random splits", () => {
    const below = seeded(20_240_611);
    for (let round = 0; round < 1000; round += 1) {
      const expected = Array.from({ length: 1 + below(12) }, () =>
        Buffer.alloc(below(below(4) === 0 ? 3000 : 20), below(256)),
      );
      const bytes = Buffer.concat(
        expected.map((one) => (below(3) === 0 ? flagged(1, gzipSync(one)) : frame(one))),
      );
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = below(below(2) === 0 ? 8 : 2000);
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      const { messages, reader } = read(chunks, { encoding: "gzip" });
      expect(Buffer.concat(messages)).toEqual(Buffer.concat(expected));
      expect(messages.map((m) => m.length)).toEqual(expected.map((m) => m.length));
      expect(reader.atBoundary).toBe(true);
    }
  });

  it("puts a large message together whose bytes come in pieces of a DATA frame", () => {
    const message = Buffer.alloc(3 * MIB + 17);
    message.forEach((_, index) => {
      message[index] = index * 31;
    });
    const bytes = frame(message);
    const chunks = Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, index) =>
      bytes.subarray(index * 16_384, (index + 1) * 16_384),
    );
    expect(Buffer.compare(read(chunks).messages[0]!, message)).toBe(0);
  });

  it("is not at a boundary after a header, or part of one, or part of a message", () => {
    const bytes = frame(Buffer.from("abc"));
    for (let length = 1; length < bytes.length; length += 1) {
      expect(read([bytes.subarray(0, length)]).reader.atBoundary).toBe(false);
    }
  });

  it("spends little memory on a header that announces much", () => {
    const header = frame(Buffer.alloc(0));
    header.writeUInt32BE(64 * MIB, 1);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 32 }, () => read([header], { bytesMax: 64 * MIB }).reader);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MIB);
    expect(readers.every((reader) => !reader.atBoundary)).toBe(true);
  });

  it("takes a message of the limit and none above it, whole or in pieces", () => {
    const limit = { bytesMax: 10 };
    expect(read([frame(Buffer.alloc(10))], limit).messages).toHaveLength(1);
    const above = frame(Buffer.alloc(11));
    expect(faultOf(() => read([above], limit))).toBe(Code.RESOURCE_EXHAUSTED);
    const pieces = [above.subarray(0, 3), above.subarray(3, 5)];
    expect(faultOf(() => read(pieces, limit))).toBe(Code.RESOURCE_EXHAUSTED);
  });

  it("hands out the messages before a fault", () => {
    const seen: Buffer[] = [];
    const reader = new FrameReader({ bytesMax: 10, encoding: undefined });
    const bytes = Buffer.concat([frame(Buffer.from("a")), flagged(2, Buffer.from("b"))]);
    expect(() => reader.feed(bytes, (message) => seen.push(message))).toThrow(FrameFault);
    expect(seen).toEqual([Buffer.from("a")]);
  });

  it("refuses flags other than 0 and 1 as framing that is damaged", () => {
    for (const flags of [2, 3, 128, 255]) {
      expect(faultOf(() => read([flagged(flags, Buffer.from("a"))]))).toBe(Code.INTERNAL);
    }
  });

  it("inflates gzip and deflate, and leaves messages alone that are not flagged", () => {
    const text = Buffer.from("to be inflated ".repeat(50));
    const gzip = [flagged(1, gzipSync(text)), frame(text)];
    expect(read(gzip, { encoding: "gzip" }).messages).toEqual([text, text]);
    expect(read([flagged(1, deflateSync(text))], { encoding: "deflate" }).messages).toEqual([text]);
  });

  it("says what is wrong with a compressed message it cannot read", () => {
    const damaged = gzipSync(Buffer.alloc(1000));
    damaged[20] = 0xff ^ damaged[20]!;
    const cases: [string | undefined, Buffer, Code][] = [
      ["gzip", damaged, Code.INVALID_ARGUMENT],
      ["gzip", Buffer.alloc(0), Code.INVALID_ARGUMENT],
      ["gzip", gzipSync(Buffer.alloc(1000)).subarray(0, 15), Code.INVALID_ARGUMENT],
      ["gzip", gzipSync(Buffer.alloc(5 * MIB)), Code.RESOURCE_EXHAUSTED],
      ["snappy", Buffer.from("a"), Code.UNIMPLEMENTED],
      [undefined, Buffer.from("a"), Code.INTERNAL],
      ["identity", Buffer.from("a"), Code.INTERNAL],
    ];
    for (const [encoding, message, code] of cases) {
      const options = encoding === undefined ? {} : { encoding };
      expect(faultOf(() => read([flagged(1, message)], options))).toBe(code);
    }
  });

  it("stops inflating at 16 MiB even where larger messages are allowed", () => {
    const bomb = flagged(1, gzipSync(Buffer.alloc(17 * MIB)));
    expect(bomb.length).toBeLessThan(32_768);
    const options = { encoding: "gzip", bytesMax: 64 * MIB };
    expect(faultOf(() => read([bomb], options))).toBe(Code.RESOURCE_EXHAUSTED);
  });
});
