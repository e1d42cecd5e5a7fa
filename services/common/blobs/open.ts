// From a URI in a configuration to a blob store.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../errors/domain-error.ts";
import { openLocalBlobs } from "./local.ts";
import type { BlobStore } from "./port.ts";

/**
 * Opens the store that a URI names: "file:<folder>", relative or absolute ("file:///folder" too).
 * @throws InvalidArgument for any other URI; Unavailable when the folder cannot be made.
 */
export async function openBlobStore(uri: string): Promise<BlobStore> {
  const folder = uri.startsWith("file:") ? uri.slice("file:".length) : "";
  if (folder !== "" && folder !== "//") {
    return openLocalBlobs({ folder: folder.startsWith("///") ? folder.slice(2) : folder });
  }
  throw new InvalidArgument('a blob store is named "file:<folder>"', {
    reason: ErrorReason.INVALID_FIELD,
  });
}
