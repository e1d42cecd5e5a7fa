// Calls that are wrong around their message: its count, its compression, the headers, the method.
// Each gets a status that says so, and the connection goes on.

import { gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Code } from "../../gen/google/rpc/code_pb.js";
import { ModelInferResponseSchema } from "../../gen/inference/grpc_service_pb.js";
import { call, framed, inferBytes, MODEL_INFER, useConnection } from "./raw-call.ts";
import { GOOD, GOOD_ANSWER, shareLinear } from "./use-linear.ts";
import { firstOutput } from "./use-models.ts";

const linear = shareLinear();
const { expectServing } = linear;

describe("a bad call", () => {
  const body = () => framed(inferBytes(GOOD));

  it("with no message, or with two, of a unary method", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    expect((await call(session, Buffer.alloc(0))).code).toBe(Code.INVALID_ARGUMENT);
    expect((await call(session, Buffer.concat([body(), body()]))).code).toBe(Code.UNIMPLEMENTED);
    await expectServing();
  });

  it("that is not gRPC is told so in HTTP", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    for (const type of ["application/json", "text/plain", ""]) {
      const answer = await call(session, body(), { headers: { "content-type": type } });
      expect(answer.httpStatus).toBe(415);
      expect(answer.body.toString()).toMatch(/gRPC/);
    }
    await expectServing();
  });

  it("with a malformed grpc-timeout", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    for (const timeout of ["1", "S", "-1S", "1.5S", "123456789S", "1x", "1 S"]) {
      const answer = await call(session, body(), { headers: { "grpc-timeout": timeout } });
      expect(answer, timeout).toMatchObject({ code: Code.INVALID_ARGUMENT });
      expect(answer.message).toContain("grpc-timeout");
    }
    const none = await call(session, body(), { headers: { "grpc-timeout": "0m" } });
    expect(none.code).toBe(Code.DEADLINE_EXCEEDED);
    const long = await call(session, body(), { headers: { "grpc-timeout": "99999999H" } });
    expect(long.code).toBe(Code.OK);
  });

  it("of a method or service that is not there", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    for (const path of [`${MODEL_INFER}s`, "/no.Such/Method", "/", "/__proto__/constructor"]) {
      expect((await call(session, body(), { path })).code, path).toBe(Code.UNIMPLEMENTED);
    }
  });

  it("in an unsupported compression, while gzip and deflate work", async () => {
    const session = await useConnection(linear.mesh.grpcAddress);
    const zipped = framed(gzipSync(inferBytes(GOOD)), 1);
    const answer = await call(session, zipped, { headers: { "grpc-encoding": "gzip" } });
    expect(answer.code).toBe(Code.OK);
    const response = fromBinary(ModelInferResponseSchema, answer.messages[0]!);
    expect(firstOutput(response)).toEqual(GOOD_ANSWER);
    const snappy = await call(session, zipped, { headers: { "grpc-encoding": "snappy" } });
    expect(snappy.code).toBe(Code.UNIMPLEMENTED);
    expect(snappy.message).toMatch(/gzip/);
    const notZipped = framed(Buffer.from("not gzip"), 1);
    const broken = await call(session, notZipped, { headers: { "grpc-encoding": "gzip" } });
    expect(broken.code).toBe(Code.INVALID_ARGUMENT);
    await expectServing();
  });
});
