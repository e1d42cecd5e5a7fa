// The codecs that the server uses for the two methods on the path of every inference.

import type { MethodCodec } from "../../common/rpc/context.ts";
import type { InferAnswer, InferFailure } from "./infer-messages.ts";
import { decodeInferRequest } from "./infer-request-codec.ts";
import { encodeInferResponse, encodeStreamInferResponse } from "./infer-response-codec.ts";

/** ModelInfer: a WireInferRequest comes out, an InferAnswer goes in. */
export const modelInferCodec: MethodCodec = {
  decode: decodeInferRequest,
  encode: (message) => encodeInferResponse(message as InferAnswer),
};

/** ModelStreamInfer: as ModelInfer; a message that failed goes in as an InferFailure. */
export const modelStreamInferCodec: MethodCodec = {
  decode: decodeInferRequest,
  encode: (message) => encodeStreamInferResponse(message as InferAnswer | InferFailure),
};
