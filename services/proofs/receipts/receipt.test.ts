import { describe, expect, it } from "vitest";
import { sha256 } from "../../common/receipts/sha256.ts";
import {
  decodeReceipt,
  fieldOffsets,
  MalformedReceipt,
  type Receipt,
  receiptPrefix,
} from "./receipt.ts";
import { ReceiptPage, unpackReceipts } from "./receipt-page.ts";
import { encodeReceipt } from "./testing/encode-receipt.ts";

const RECEIPT: Receipt = {
  keyId: "000102030405060708090a0b0c0d0e0f",
  workspace: "workspaces/a",
  deployment: "d",
  modelVersion: "m",
  modelDigest: new Uint8Array(32).fill(0x11),
  timeUs: 1_763_641_234_567_890,
  rows: 258,
  inferenceId: "é",
  context: Uint8Array.of(1, 2, 3),
  inputDigest: new Uint8Array(32).fill(0x22),
  outputDigest: new Uint8Array(32).fill(0x33),
};

const encode = (receipt: Receipt) => encodeReceipt(receiptPrefix(receipt), receipt);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("receipt", () => {
  it("has the bytes that its header describes", () => {
    expect(hex(encode(RECEIPT))).toBe(
      [
        Buffer.from("plinth.receipt/1").toString("hex"),
        `0010${RECEIPT.keyId}`,
        `000c${Buffer.from("workspaces/a").toString("hex")}`,
        "000164",
        "00016d",
        `0020${"11".repeat(32)}`,
        "000800064405b94c32d2",
        "000400000102",
        "0002c3a9",
        "0003010203",
        `0020${"22".repeat(32)}`,
        `0020${"33".repeat(32)}`,
      ].join(""),
    );
  });

  it("comes back as it was, at the limits too", () => {
    for (const receipt of [
      RECEIPT,
      { ...RECEIPT, timeUs: 0, rows: 0, context: new Uint8Array(0) },
      { ...RECEIPT, timeUs: Number.MAX_SAFE_INTEGER, rows: 2 ** 32 - 1 },
      { ...RECEIPT, context: new Uint8Array(256).fill(9), inferenceId: "x".repeat(1_024) },
      { ...RECEIPT, inferenceId: "\ufeffa\0b" },
    ]) {
      expect(decodeReceipt(encode(receipt))).toEqual(receipt);
    }
  });

  it.each([
    ["workspace", { workspace: "" }],
    ["deployment", { deployment: "x".repeat(1_025) }],
    ["modelVersion", { modelVersion: "\ud800" }],
    ["keyId", { keyId: RECEIPT.keyId.toUpperCase() }],
    ["modelDigest", { modelDigest: new Uint8Array(31) }],
  ])("refuses a wrong %s", (field, change) => {
    expect(() => receiptPrefix({ ...RECEIPT, ...change })).toThrow(new RegExp(`^${field}: `));
  });

  it("has one encoding: what decodes, encodes to the same bytes again", () => {
    const good = encode(RECEIPT);
    let decoded = 0;
    for (let at = 0; at < good.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const bytes = Uint8Array.from(good);
        bytes[at]! ^= flip;
        try {
          expect(hex(encode(decodeReceipt(bytes)))).toBe(hex(bytes));
          decoded++;
        } catch (error) {
          if (!(error instanceof MalformedReceipt)) throw error;
        }
      }
    }
    expect(decoded).toBeGreaterThan(100);
    for (let length = 0; length < good.length; length++) {
      expect(() => decodeReceipt(good.subarray(0, length))).toThrow(MalformedReceipt);
    }
    expect(() => decodeReceipt(Buffer.concat([good, Buffer.of(0)]))).toThrow(/1 bytes follow/);
  });

  it("refuses a field of another length, and a time past what it holds, though all adds up", () => {
    const good = encode(RECEIPT);
    const offsets = fieldOffsets(good);
    const longest = [16, 1_024, 1_024, 1_024, 32, 8, 4, 1_024, 256, 32, 32];
    for (const [field, most] of longest.entries()) {
      const [start, end] = [offsets[field]!, offsets[field + 1]!];
      const withLength = (length: number) => {
        const size = Buffer.of(length >> 8, length & 0xff);
        const content = Buffer.alloc(length, "a");
        return Buffer.concat([good.subarray(0, start), size, content, good.subarray(end)]);
      };
      expect(() => decodeReceipt(withLength(most + 1)), `${field}`).toThrow(/bytes, expected/);
      if (field !== 8) expect(() => decodeReceipt(withLength(0))).toThrow(/bytes, expected/);
    }
    const late = Uint8Array.from(good);
    late[offsets[5]! + 2] = 1;
    expect(() => decodeReceipt(late)).toThrow(/^time: /);
  });

  it("moves no byte from one field to the next without a trace", () => {
    const one = encode({ ...RECEIPT, deployment: "ab", modelVersion: "c" });
    const other = encode({ ...RECEIPT, deployment: "a", modelVersion: "bc" });
    expect(one).not.toEqual(other);
    expect(fieldOffsets(one)).toHaveLength(12);
  });

  it("is stored in pages that share what is alike", () => {
    const receipts = Array.from({ length: 50 }, (_, i) => {
      const facts = { inferenceId: `i${i}`, inputDigest: sha256(Buffer.of(i)) };
      return encode({ ...RECEIPT, ...facts, timeUs: RECEIPT.timeUs + i });
    });
    receipts.push(Uint8Array.from(receipts[3]!), encode({ ...RECEIPT, workspace: "w" }));
    const written = new ReceiptPage();
    for (const receipt of receipts) written.add(receipt);
    const page = written.bytes;
    expect(unpackReceipts(page).map(hex)).toEqual(receipts.map(hex));
    expect(page.length).toBeLessThan(receipts.length * 120);
    expect(unpackReceipts(new ReceiptPage().bytes)).toEqual([]);
    expect(() => unpackReceipts(page.subarray(0, -1))).toThrow(/damaged/);
    expect(() => unpackReceipts(Buffer.of(0, 1, 0, 0))).toThrow(/damaged/);
  });
});
