// What an operator may set of receipts.

import type { ConfigOf } from "../../common/config.ts";
import { bytes, duration } from "../../common/setting.ts";

export const receiptSettings = {
  queueBytesMax: bytes({
    env: "PLINTH_INFERENCE_RECEIPTS_QUEUE_MAX",
    default: "64MiB",
    min: "1MiB",
    max: "16GiB",
    about:
      "Bytes of receipts that may wait for their log; above it inferences of deployments with " +
      "receipts are refused.",
  }),
  intervalMs: duration({
    env: "PLINTH_INFERENCE_RECEIPTS_INTERVAL",
    default: "200ms",
    min: "1ms",
    max: "10s",
    about: "How often receipts are sent to their log; sooner when many wait.",
  }),
  drainMs: duration({
    env: "PLINTH_INFERENCE_RECEIPTS_DRAIN",
    default: "10s",
    min: "0s",
    max: "10m",
    about:
      "How long a server that stops waits for the log to take its last receipts; what it has not " +
      "taken then is lost.",
  }),
};

export type ReceiptsConfig = ConfigOf<typeof receiptSettings>;
