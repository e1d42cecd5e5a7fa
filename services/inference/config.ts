// The settings of the inference service.

import type { ConfigOf } from "../common/config.ts";
import { bytes, integer } from "../common/setting.ts";
import { captureSettings } from "./capture/capture-settings.ts";
import { engineSettings } from "./engine/engine-settings.ts";
import { receiptSettings } from "./receipts/receipt-settings.ts";

export const inferenceSettings = {
  engine: engineSettings,
  capture: captureSettings,
  receipts: receiptSettings,
  streamRequestsMax: integer({
    env: "PLINTH_INFERENCE_STREAM_REQUESTS_MAX",
    default: 256,
    min: 1,
    max: 65_536,
    about: "Requests of one stream in flight; beyond it the server stops reading the stream.",
  }),
  streamBytesMax: bytes({
    env: "PLINTH_INFERENCE_STREAM_BYTES_MAX",
    default: "64MiB",
    min: "1MiB",
    max: "4GiB",
    about: "Bytes of one stream's requests in flight.",
  }),
  streamsBytesMax: bytes({
    env: "PLINTH_INFERENCE_STREAMS_BYTES_MAX",
    default: "512MiB",
    min: "1MiB",
    about:
      "Bytes of the requests in flight of all streams; above it each stream has one at a time.",
  }),
  requestRowsMax: integer({
    env: "PLINTH_INFERENCE_REQUEST_ROWS_MAX",
    // More belong in several requests, or one answer blocks the model for long.
    default: 65_536,
    min: 1,
    max: 16_777_216,
    about: "Most rows of one request.",
  }),
};

export type InferenceConfig = ConfigOf<typeof inferenceSettings>;
