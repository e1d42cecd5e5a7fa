// The settings of the inference service.

import { type ConfigOf, type Env, parseSettings } from "../common/config.ts";
import { bytes, integer } from "../common/setting.ts";
import { REQUEST_ROWS_MAX, STREAM_BYTES_MAX, STREAM_REQUESTS_MAX, STREAMS_BYTES_MAX } from "./bindings.ts";
import { engineSettings } from "./engine-settings.ts";

export const inferenceSettings = {
  engine: engineSettings,
  streamRequestsMax: integer({
    env: "PLINTH_INFERENCE_STREAM_REQUESTS",
    default: STREAM_REQUESTS_MAX,
    min: 1,
    max: 65_536,
    about: "Requests of one stream in flight; beyond it the server stops reading the stream.",
  }),
  streamBytesMax: bytes({
    env: "PLINTH_INFERENCE_STREAM_BYTES",
    default: `${STREAM_BYTES_MAX / 2 ** 20}MiB`,
    min: "1MiB",
    max: "4GiB",
    about: "Bytes of one stream's requests in flight.",
  }),
  streamsBytesMax: bytes({
    env: "PLINTH_INFERENCE_STREAMS_BYTES",
    default: `${STREAMS_BYTES_MAX / 2 ** 20}MiB`,
    min: "1MiB",
    about: "Bytes of the requests in flight of all streams; above it each stream has one at a time.",
  }),
  requestRowsMax: integer({
    env: "PLINTH_INFERENCE_REQUEST_ROWS",
    default: REQUEST_ROWS_MAX,
    min: 1,
    max: 16_777_216,
    about: "Most rows of one request.",
  }),
};

export type InferenceConfig = ConfigOf<typeof inferenceSettings>;

/** The configuration in an environment. @throws InvalidArgument with every fault. */
export function parseConfig(env: Env): InferenceConfig {
  return parseSettings(env, inferenceSettings, { elsewhere: ["PLINTH_"] });
}
