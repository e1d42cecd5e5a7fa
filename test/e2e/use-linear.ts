// A mesh that serves one small model, and the request that tells whether it still does.

import { beforeAll, expect } from "vitest";
import type { Env } from "../../services/common/config.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { shareMesh, type TestMesh } from "./use-mesh.ts";
import { type Clients, clientsOn, firstOutput, rowsOf, serveModel } from "./use-models.ts";

/** 1*1 + 1*2 + 1*3 + 1*4 + 0.5 */
export const GOOD = rowsOf("linear", [[1, 1, 1, 1]]);
export const GOOD_ANSWER: readonly number[] = [10.5];

export interface LinearMesh {
  readonly mesh: TestMesh;
  readonly clients: Clients;
  expectServing(): Promise<void>;
}

/** A registry and an inference server with the deployment "linear", for all tests of a file. */
export function shareLinear(settings: Env = {}): LinearMesh {
  const shared = shareMesh(settings, ["registry", "inference"]);
  let clients: Clients;
  beforeAll(async () => {
    clients = clientsOn(shared.current.channel);
    await serveModel(clients, "linear", linearModel());
  });
  return {
    get mesh() {
      return shared.current;
    },
    get clients() {
      return clients;
    },
    async expectServing() {
      expect(firstOutput(await clients.inference.modelInfer(GOOD))).toEqual(GOOD_ANSWER);
    },
  };
}
