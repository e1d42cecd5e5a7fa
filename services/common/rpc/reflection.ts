// gRPC reflection, v1 and v1alpha, from the descriptors that the services were bound with: what
// grpcurl and other generic clients ask before they call. The two versions differ in their package
// name only.

import {
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.js";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as V1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { bindService, type ServiceBinding } from "./context.ts";

type Answer = NonNullable<
  MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]
>;

/** Reflection over these services, everything their files import, and the details of errors. */
export function reflectionBindings(services: readonly DescService[]): readonly ServiceBinding[] {
  const listed = [...services, V1, V1Alpha];
  const files = new Map<string, DescFile>();
  for (const service of listed) {
    collect(service.file, files);
  }
  // No file imports them: they stand in the Any of an error, a call's or a job's.
  collect(file_google_rpc_error_details, files);
  const registry = createRegistry(...files.values());
  const names = listed.map((service) => ({ name: service.typeName }));
  const answer = (request: Pick<ServerReflectionRequest, "messageRequest">): Answer =>
    answerTo(request.messageRequest, registry, files, names);
  return [
    bindService(V1, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          yield {
            validHost: request.host,
            originalRequest: request,
            messageResponse: answer(request),
          };
        }
      },
    }),
    bindService(V1Alpha, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          yield {
            validHost: request.host,
            originalRequest: request,
            // The same message under another package name.
            messageResponse: answer(request as never) as never,
          };
        }
      },
    }),
  ];
}

function answerTo(
  request: ServerReflectionRequest["messageRequest"],
  registry: Registry,
  files: ReadonlyMap<string, DescFile>,
  names: readonly { readonly name: string }[],
): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: [...names] } };
    case "fileByFilename":
      return fileAnswer(files.get(request.value), request.value);
    case "fileContainingSymbol":
      return fileAnswer(fileOfSymbol(registry, request.value), request.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      const extension = extensionsOf(registry, containingType).find(
        ({ number }) => number === extensionNumber,
      );
      return fileAnswer(extension?.file, `${containingType} extension ${extensionNumber}`);
    }
    case "allExtensionNumbersOfType":
      return {
        case: "allExtensionNumbersResponse",
        value: {
          baseTypeName: request.value,
          extensionNumber: extensionsOf(registry, request.value).map(({ number }) => number),
        },
      };
    case undefined:
      return {
        case: "errorResponse",
        value: { errorCode: Code.INVALID_ARGUMENT, errorMessage: "message_request is not set." },
      };
  }
}

function extensionsOf(registry: Registry, typeName: string) {
  return [...registry]
    .filter((type) => type.kind === "extension")
    .filter((extension) => extension.extendee.typeName === typeName);
}

/** A symbol may be a type, a service, or a method, field or value inside one. */
function fileOfSymbol(registry: Registry, symbol: string): DescFile | undefined {
  const type = registry.get(symbol);
  if (type !== undefined) {
    return type.file;
  }
  const parent = registry.get(symbol.slice(0, symbol.lastIndexOf(".")));
  return parent?.file;
}

/** The file with everything it imports, so that a client needs one question. */
function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) {
    return {
      case: "errorResponse",
      value: { errorCode: Code.NOT_FOUND, errorMessage: `Nothing known of "${asked}" here.` },
    };
  }
  const needed = new Map<string, DescFile>();
  collect(file, needed);
  return {
    case: "fileDescriptorResponse",
    value: {
      fileDescriptorProto: [...needed.values()].map((one) =>
        toBinary(FileDescriptorProtoSchema, one.proto),
      ),
    },
  };
}

/** The file first, then its imports, each once, by the name under which others import it. */
function collect(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.proto.name)) {
    return;
  }
  into.set(file.proto.name, file);
  for (const dependency of file.dependencies) {
    collect(dependency, into);
  }
}
