import { describe, expect, it } from "vitest";
import {
  type Deployment,
  deploymentState,
  type ServerReport,
  type ServingState,
} from "./deployment.ts";

const time = new Date(0);
const deployment: Deployment = {
  _id: "d",
  uid: "u",
  workspace: "w",
  createTime: time,
  updateTime: time,
  description: "",
  current: {
    number: 2,
    createTime: time,
    actor: "a",
    config: {
      targets: [
        { modelVersion: "a", weight: 1 },
        { modelVersion: "b", weight: 1 },
      ],
      shadows: [{ modelVersion: "s", sampleRate: 1 }],
      batching: null,
      instances: null,
    },
  },
  history: [],
  requestDigest: "",
};

const server = (states: string, number = 2): ServerReport => ({
  _id: `${states}${number}`,
  reportTime: time,
  deployments: [
    {
      name: "d",
      number,
      versions: ["a", "b", "s"].flatMap((modelVersion, i) => {
        const state = { L: "LOADING", R: "READY", D: "DRAINING", F: "FAILED" }[states[i] ?? ""];
        return state === undefined
          ? []
          : [{ modelVersion, state: state as ServingState, reason: "" }];
      }),
    },
  ],
});

describe("deployment state", () => {
  it.each([
    ["PENDING", []],
    ["PENDING", [server("RRR", 1)]],
    ["PENDING", [server("RRL")]],
    ["PENDING", [server("R-R")]],
    ["PENDING", [server("LFL")]],
    ["PENDING", [server("RRR"), server("RRR", 1)]],
    ["PENDING", [server("RRR"), { _id: "x", reportTime: time, deployments: [] }]],
    ["READY", [server("RRR")]],
    ["READY", [server("RRR"), { ...server("RRR"), _id: "second" }]],
    ["DEGRADED", [server("RFR")]],
    ["DEGRADED", [server("RRF")]],
    ["DEGRADED", [server("RRR"), server("FFF")]],
    ["FAILED", [server("FFR")]],
    ["FAILED", [server("FFF"), server("FFL")]],
  ] as const)("is %s", (state, servers) => {
    expect(deploymentState(deployment, servers)).toBe(state);
  });
});
