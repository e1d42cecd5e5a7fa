import { describe, expect, it } from "vitest";
import { sha256 } from "./sha256.ts";
import { bytesTensorData, type RawTensor, tensorBytes } from "./tensor-bytes.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const TENSOR: RawTensor = {
  name: "x",
  datatype: "FP32",
  shape: [1, 2],
  data: Buffer.from("0000803f000000c0", "hex"),
};

const digestOf = (tensors: readonly RawTensor[]) =>
  hex(sha256(Buffer.concat([...tensorBytes(tensors)])));

describe("tensor-bytes", () => {
  it("are the bytes that its header describes", () => {
    expect(hex(Buffer.concat([...tensorBytes([TENSOR])]))).toBe(
      [
        Buffer.from("plinth.tensors/1").toString("hex"),
        "00000001",
        "000178",
        `0004${Buffer.from("FP32").toString("hex")}`,
        "000200000000000000010000000000000002",
        "0000000000000008",
        "0000803f000000c0",
      ].join(""),
    );
    expect(hex(bytesTensorData(["é", Buffer.of(0), ""]))).toBe("02000000c3a9010000000000000000");
  });

  it("are the same in any order of the tensors, and two of one name are refused", () => {
    const tensors = ["b", "a", "é", "ab"].map((name) => ({ ...TENSOR, name }));
    expect(digestOf(tensors)).toBe(digestOf(tensors.toReversed()));
    expect(() => digestOf([TENSOR, TENSOR])).toThrow(/Two tensors are named "x"/);
    expect(() => digestOf([{ ...TENSOR, shape: [-1] }])).toThrow(/shape/);
  });

  it("differ with the name, the datatype, the shape, a bit of the data, and what lies between", () => {
    const digests = [
      [TENSOR],
      [],
      [{ ...TENSOR, name: "y" }],
      [{ ...TENSOR, datatype: "INT32" }],
      [{ ...TENSOR, shape: [2, 1] }],
      [{ ...TENSOR, shape: [2] }],
      [{ ...TENSOR, shape: [] }],
      [{ ...TENSOR, data: Buffer.from("0000803f000000c1", "hex") }],
      [{ ...TENSOR, name: "xF", datatype: "P32" }],
      [TENSOR, { ...TENSOR, name: "y" }],
    ].map(digestOf);
    expect(new Set(digests).size).toBe(digests.length);
  });

  it("tell 0 from -0", () => {
    const data = (text: string) => [{ ...TENSOR, shape: [1], data: Buffer.from(text, "hex") }];
    expect(digestOf(data("00000000"))).not.toBe(digestOf(data("00000080")));
  });
});
