// What an operator may set of the capture of inferences.

import type { ConfigOf } from "../../common/config.ts";
import { bytes, duration, integer } from "../../common/setting.ts";

export const captureSettings = {
  bytesMax: bytes({
    env: "PLINTH_INFERENCE_CAPTURE_BYTES_MAX",
    default: "32MiB",
    min: "1MiB",
    max: "4GiB",
    about:
      "Bytes of captured inferences that may wait for monitoring; above it further ones are dropped.",
  }),
  rowsRateMax: integer({
    env: "PLINTH_INFERENCE_CAPTURE_ROWS_RATE_MAX",
    default: 50_000,
    min: 1,
    max: 100_000_000,
    about:
      "Rows a second that are captured; further ones are dropped, so that what monitoring does with " +
      "them stays a small part of a machine that both run on.",
  }),
  intervalMs: duration({
    env: "PLINTH_INFERENCE_CAPTURE_INTERVAL",
    default: "1s",
    min: "10ms",
    max: "1m",
    about: "How often captured inferences are sent to monitoring; sooner when many wait.",
  }),
};

export type CaptureConfig = ConfigOf<typeof captureSettings>;
