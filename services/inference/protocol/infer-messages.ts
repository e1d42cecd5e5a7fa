// ModelInfer's messages as the server holds them between wire and engine: strings decoded, tensor
// data still the bytes that came. Stands in for the generated classes on the hot path.

import type { Tensor } from "../tensor.ts";
import type { TypedContents } from "./typed-contents.ts";

/** An InferParameter; `unset` is one whose oneof has no choice. */
export type Parameter =
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "int64"; readonly value: bigint }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "double"; readonly value: number }
  | { readonly kind: "uint64"; readonly value: bigint }
  | { readonly kind: "unset" };

export type Parameters = ReadonlyMap<string, Parameter>;

/** For the many messages that bring none. */
export const NO_PARAMETERS: Parameters = new Map();

export interface WireInput {
  readonly name: string;
  readonly datatype: string;
  /** Dimensions beyond 2^53 are the nearest number. */
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  /** Absent: not set. */
  readonly contents: TypedContents | undefined;
}

export interface WireRequestedOutput {
  readonly name: string;
  readonly parameters: Parameters;
}

/** A decoded ModelInferRequest. */
export interface WireInferRequest {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly WireInput[];
  readonly outputs: readonly WireRequestedOutput[];
  /** Views into the message. */
  readonly rawInputContents: readonly Uint8Array[];
  /** Size of the whole message. */
  readonly byteLength: number;
}

/** A ModelInferResponse to be encoded. */
export interface InferAnswer {
  readonly kind: "answer";
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly outputs: readonly Tensor[];
  /** Whether the data go into raw_output_contents; otherwise into typed contents. */
  readonly raw: boolean;
  /** Whether the parameter `triton_final_response` is set. */
  readonly finalResponse: boolean;
}

/** The answer of a stream to a message that failed. */
export interface InferFailure {
  readonly kind: "failure";
  readonly id: string;
  readonly message: string;
  /** google.rpc.Code */
  readonly code: number;
  /** Name of an ErrorReason. */
  readonly reason: string;
}
