// What an operator may set of the engine.

import { availableParallelism } from "node:os";
import type { ConfigOf } from "../../common/config.ts";
import { bytes, integer } from "../../common/setting.ts";

export const engineSettings = {
  intraOpThreads: integer({
    env: "PLINTH_INFERENCE_INTRA_OP_THREADS",
    // One core is left to the thread that serves.
    default: Math.max(1, Math.min(availableParallelism() - 1, 8)),
    min: 1,
    max: 64,
    about: "Threads inside one run of a model where the deployment does not say.",
  }),
  loadedVersionsMax: integer({
    env: "PLINTH_INFERENCE_LOADED_VERSIONS_MAX",
    default: 256,
    min: 1,
    max: 10_000,
    about: "Most versions held at once; further ones are reported as failed until there is room.",
  }),
  queueBytesMax: bytes({
    env: "PLINTH_INFERENCE_QUEUE_BYTES_MAX",
    default: "256MiB",
    min: "1MiB",
    about: "Most bytes of inputs that may wait for one version.",
  }),
};

export type EngineConfig = ConfigOf<typeof engineSettings>;
