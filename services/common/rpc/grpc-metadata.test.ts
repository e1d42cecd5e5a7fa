import { create, fromBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { isGrpc, percentEncode, statusTrailers, timeoutMs } from "./grpc-metadata.ts";

describe("grpc-metadata", () => {
  it("knows gRPC with Protobuf from other content types", () => {
    const yes = [
      "application/grpc",
      "application/grpc+proto",
      "application/grpc;charset=utf-8",
      "application/grpc+proto ; a=b",
      "Application/GRPC",
    ];
    const no = [
      undefined,
      "",
      "application/grpc-web",
      "application/grpc-web+proto",
      "application/grpc+json",
      "application/grpcx",
      "application/json",
      "text/application/grpc",
    ];
    expect(yes.map(isGrpc)).toEqual(yes.map(() => true));
    expect(no.map(isGrpc)).toEqual(no.map(() => false));
  });

  it("reads every unit of a timeout and nothing that is none", () => {
    expect(["2H", "2M", "2S", "2m", "2000u", "2000000n", "0m", "99999999H"].map(timeoutMs)).toEqual(
      [7_200_000, 120_000, 2000, 2, 2, 2, 0, 359_999_996_400_000],
    );
    expect(timeoutMs(undefined)).toBeUndefined();
    for (const text of [
      "",
      "1",
      "m",
      "-1m",
      "1.5S",
      "123456789m",
      "1s",
      "1h",
      " 1m",
      "1m ",
      "1mS",
    ]) {
      expect(timeoutMs(text)).toBeNaN();
    }
  });

  it("percent-encodes what is not printable ASCII, and the percent sign", () => {
    expect(percentEncode("plain ~ text")).toBe("plain ~ text");
    expect(percentEncode("100%\r\nnö 🙂\x7f")).toBe("100%25%0D%0An%C3%B6 %F0%9F%99%82%7F");
    expect(percentEncode("half \ud83d")).toBe("half %EF%BF%BD");
  });

  it("carries details as unpadded base64 that holds the whole status", () => {
    for (const reason of ["A", "AB", "ABC"]) {
      const detail = anyPack(
        ErrorInfoSchema,
        create(ErrorInfoSchema, { reason, domain: "plinth" }),
      );
      const status = create(StatusSchema, { code: 9, message: "nö", details: [detail] });
      const trailers = statusTrailers(status);
      expect(trailers).toMatchObject({ "grpc-status": 9, "grpc-message": "n%C3%B6" });
      const base64 = String(trailers["grpc-status-details-bin"]);
      expect(base64).toMatch(/^[A-Za-z0-9+/]+$/);
      expect(fromBinary(StatusSchema, bytesOf(base64))).toEqual(status);
    }
  });

  it("keeps trailers below what clients take: cuts the message, drops the details that do not fit", () => {
    const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "A" }));
    const fieldViolations = Array.from({ length: 1000 }, (_, index) => ({
      field: `rows[${index}]`,
      description: "must not be empty",
    }));
    const large = anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations }));
    for (const message of ["x".repeat(100_000), "ö".repeat(100_000), "🙂".repeat(100_000)]) {
      const status = create(StatusSchema, { code: 3, message, details: [info, large] });
      const trailers = statusTrailers(status);
      const bytes = Object.entries(trailers).flat().join("").length;
      expect(bytes).toBeLessThan(8192);
      const details = bytesOf(String(trailers["grpc-status-details-bin"]));
      const kept = fromBinary(StatusSchema, details);
      expect(kept.details).toEqual([info]);
      const text = decodeURIComponent(String(trailers["grpc-message"]));
      expect(text).toBe(kept.message);
      expect(text.endsWith("...")).toBe(true);
      expect(message.startsWith(text.slice(0, -3))).toBe(true);
    }
  });
});

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}
