// A bare grpc-js server with the methods of the protocol: bytes in, the same bytes out every time,
// nothing decoded and nothing computed. What any server on grpc-js could reach at most.

import { parseArgs } from "node:util";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

const { values } = parseArgs({
  options: {
    /** The answer to ModelInfer, base64. */
    unary: { type: "string" },
    /** The answer to each message of ModelStreamInfer, base64. */
    stream: { type: "string" },
  },
});

const SERVICE = "/inference.GRPCInferenceService";
const bytes = (value: Buffer): Buffer => value;
const method = (name: string, streams: boolean) => ({
  path: `${SERVICE}/${name}`,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const definition: ServiceDefinition = {
  modelInfer: method("ModelInfer", false),
  modelStreamInfer: method("ModelStreamInfer", true),
};

const unaryAnswer = Buffer.from(values.unary ?? "", "base64");
const streamAnswer = Buffer.from(values.stream ?? "", "base64");
const implementation: UntypedServiceImplementation = {
  modelInfer(_call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
    callback(null, unaryAnswer);
  },
  modelStreamInfer(call: ServerDuplexStream<Buffer, Buffer>): void {
    call.on("data", () => call.write(streamAnswer));
    call.on("end", () => call.end());
    call.on("error", () => call.destroy());
  },
};

const server = new Server();
server.addService(definition, implementation);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) {
    throw error;
  }
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
