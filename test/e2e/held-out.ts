// The examples' held-out inputs, the answers their training libraries gave, and how near ours must
// be.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { EXAMPLES } from "./use-mesh.ts";

export interface HeldOutTensor {
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

export interface HeldOut {
  readonly deployment: string;
  readonly tolerance: number;
  /**
   * float32 cannot hold more digits of a number that is the small difference of larger ones, such
   * as a probability computed as 1 - p.
   */
  readonly absoluteTolerance: number;
  readonly inputs: Readonly<Record<string, HeldOutTensor>>;
  readonly outputs: Readonly<Record<string, HeldOutTensor>>;
  readonly rows?: readonly Record<string, number | string>[];
}

interface ExampleFile {
  readonly models: readonly { readonly model: string; readonly heldOut: string }[];
  readonly deployments: readonly { readonly deployment: string; readonly model: string }[];
}

/** Every example deployment with its held-out data. */
export function heldOutExamples(): readonly HeldOut[] {
  return readdirSync(EXAMPLES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const folder = join(EXAMPLES, name);
      const example = readJson<ExampleFile>(join(folder, "example.json"));
      return example.deployments.map(({ deployment, model }) => {
        const file = example.models.find((one) => one.model === model)?.heldOut ?? "";
        return { ...readJson<HeldOut>(join(folder, file)), deployment };
      });
    });
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/** Numbers within |got - want| <= absolute + relative * |want|; labels and texts exactly. */
export function expectClose(
  got: readonly (number | bigint | string)[],
  want: HeldOutTensor,
  example: HeldOut,
): void {
  expect(got.length).toBe(want.data.length);
  const far = want.data.flatMap((wanted, index) => {
    const value = got[index];
    const near =
      typeof wanted === "string" || !want.datatype.startsWith("FP")
        ? String(value) === String(wanted)
        : Math.abs(Number(value) - wanted) <=
          example.absoluteTolerance + example.tolerance * Math.abs(wanted);
    return near ? [] : [{ index, wanted, value }];
  });
  expect(far).toEqual([]);
}
