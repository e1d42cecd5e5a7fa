// The settings of the registry.

import type { ConfigOf } from "../common/config.ts";
import { bytes, duration, integer } from "../common/setting.ts";

/** What an operator may set; every one has a default. */
export const registrySettings = {
  uploadBytesMax: bytes({
    env: "PLINTH_REGISTRY_UPLOAD_MAX",
    default: "4GiB",
    min: "1KiB",
    about: "Largest model file that may be uploaded.",
  }),
  uploadTtlMs: duration({
    env: "PLINTH_REGISTRY_UPLOAD_TTL",
    default: "24h",
    min: "1m",
    about: "How long an upload may rest before it is swept.",
  }),
  uploadsMax: integer({
    env: "PLINTH_REGISTRY_UPLOADS_MAX",
    default: 1000,
    min: 1,
    max: 100_000,
    about: "Open uploads per workspace.",
  }),
  sandboxTimeoutMs: duration({
    env: "PLINTH_REGISTRY_SANDBOX_TIMEOUT",
    default: "60s",
    min: "1s",
    max: "1h",
    about: "Longest time to load and try a model.",
  }),
  sandboxMemoryBytes: bytes({
    env: "PLINTH_REGISTRY_SANDBOX_MEMORY",
    default: "4GiB",
    min: "512MiB",
    about: "Most memory to load and try a model.",
  }),
  sandboxParallelism: integer({
    env: "PLINTH_REGISTRY_SANDBOX_PARALLELISM",
    default: 1,
    min: 1,
    max: 64,
    about: "Models tried at once by one replica.",
  }),
  validationPollMs: duration({
    env: "PLINTH_REGISTRY_VALIDATION_POLL",
    default: "5s",
    min: "100ms",
    max: "10m",
    about: "How often versions are looked for whose validation nobody does.",
  }),
  validationLeaseMs: duration({
    env: "PLINTH_REGISTRY_VALIDATION_LEASE",
    default: "10s",
    min: "1s",
    max: "10m",
    about: "How long a replica that went silent keeps others from its validations.",
  }),
  sweepIntervalMs: duration({
    env: "PLINTH_REGISTRY_SWEEP_INTERVAL",
    default: "10m",
    min: "1s",
    max: "24h",
    about: "How often dead uploads and bytes are removed.",
  }),
};

export type RegistryConfig = ConfigOf<typeof registrySettings>;
