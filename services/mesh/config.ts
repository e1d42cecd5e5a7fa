// The settings of a mesh: those of the process and of every service it may run, checked together.

import { type ConfigOf, type Env, parseSettings } from "../common/config.ts";
import { platformSettings } from "../common/platform.ts";
import { text } from "../common/setting.ts";
import { logSettings } from "../common/telemetry/log.ts";
import { telemetrySettings } from "../common/telemetry/settings.ts";
import { featuresSettings } from "../features/config.ts";
import { gatewaySettings } from "../gateway/config.ts";
import { inferenceSettings } from "../inference/config.ts";
import { monitoringSettings } from "../monitoring/config.ts";
import { proofsSettings } from "../proofs/config.ts";
import { registrySettings } from "../registry/config.ts";

export const meshSettings = {
  platform: platformSettings,
  registry: registrySettings,
  features: featuresSettings,
  monitoring: monitoringSettings,
  proofs: proofsSettings,
  inference: inferenceSettings,
  gateway: gatewaySettings,
  telemetry: telemetrySettings,
  log: logSettings,
  registryAddress: text({
    env: "PLINTH_REGISTRY_ADDRESS",
    about: "gRPC address of the registry, where it is not part of this process.",
  }),
  featuresAddress: text({
    env: "PLINTH_FEATURES_ADDRESS",
    about:
      "gRPC address of the features service, where it is not part of this process. Not needed " +
      "where no model takes entity keys.",
  }),
  monitoringAddress: text({
    env: "PLINTH_MONITORING_ADDRESS",
    about:
      "gRPC address of the monitoring service, where it is not part of this process. Not needed: " +
      "without it nothing is captured.",
  }),
  proofsAddress: text({
    env: "PLINTH_PROOFS_ADDRESS",
    about:
      "gRPC address of the proofs service, where it is not part of this process. Not needed where no " +
      "deployment is verifiable or asks for receipts.",
  }),
  inferenceAddress: text({
    env: "PLINTH_INFERENCE_ADDRESS",
    about: "gRPC address of the inference servers, where they are not part of this process.",
  }),
};

/** Variables that the CLI and the tests read from the same environment. */
const OF_THE_COMMAND_LINE = [
  "PLINTH_ADDRESS",
  "PLINTH_API_KEY",
  "PLINTH_DEBUG",
  "PLINTH_TLS_CA",
  "PLINTH_WORKSPACE",
  "PLINTH_WIRE_",
];

export type MeshConfig = ConfigOf<typeof meshSettings>;

/** The configuration in an environment. @throws InvalidArgument with every fault. */
export function parseMeshConfig(env: Env): MeshConfig {
  return parseSettings(env, meshSettings, { elsewhere: OF_THE_COMMAND_LINE });
}
