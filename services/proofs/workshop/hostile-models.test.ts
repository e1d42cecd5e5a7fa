// Models and callers that mean harm: whatever they cost, they cost a process, within its limits.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { residentBytes } from "../process/process-limits.ts";
import {
  bothAnswers,
  layerModel,
  modelOf,
  taskOf,
  useCircuit,
  useWorkshop,
} from "./testing/use-workshop.ts";
import type { ProcessWorkshop } from "./workshop.ts";
import type { CompileTask, RowInputs } from "./workshop-port.ts";

const MIB = 1024 * 1024;
const ROW: RowInputs = { tensors: [Float64Array.of(1, 2, 3, 4)] };

/** Node itself and our own code are 100 MiB of it. */
const HOSTILE_MEMORY = 256 * MIB;

/** How a task ends, and the most memory that was seen on the way. */
async function tried(
  workshop: ProcessWorkshop,
  task: CompileTask,
): Promise<{ readonly error: unknown; readonly peak: number }> {
  let peak = 0;
  const poll = setInterval(async () => {
    peak = Math.max(peak, await residentBytes(workshop.compilingId));
  }, 10);
  try {
    return { error: await workshop.compile(task).catch((error: unknown) => error), peak };
  } finally {
    clearInterval(poll);
  }
}

/** A file of one node a million times, which takes longer to write another way. */
function millionNodes(): Uint8Array {
  const text = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
    writer.tag(field, WireType.LengthDelimited).string(value);
  const node = text(text(text(new BinaryWriter(), 1, "x"), 2, "y"), 4, "Relu").finish();
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(node).finish();
  const graph = Buffer.alloc(1_000_000 * entry.length, entry);
  return new BinaryWriter().tag(7, WireType.LengthDelimited).bytes(graph).finish();
}

const RELU: Node = { op: "Relu", inputs: ["x"], outputs: ["y"] };
const HOSTILE: readonly [string, () => Uint8Array, RegExp][] = [
  [
    "an initializer that claims 10 GB",
    () =>
      modelOf({
        nodes: [RELU],
        initializers: [{ ...floats("w", [1], [1]), shape: [50_000, 50_000] }],
      }),
    /claims 2500000000 elements/,
  ],
  [
    "a cycle",
    () =>
      modelOf({
        nodes: [
          { op: "Add", inputs: ["x", "b"], outputs: ["a"] },
          { op: "Relu", inputs: ["a"], outputs: ["b"] },
          { op: "Relu", inputs: ["b"], outputs: ["y"] },
        ],
      }),
    /cycle/,
  ],
  ["a million nodes", millionNodes, /more than 10000 nodes/],
  ["garbage", () => new Uint8Array(100_000).fill(0xff), /^model: /],
  ["nothing", () => new Uint8Array(0), /0 graphs/],
];

describe("a hostile model", { timeout: 120_000 }, () => {
  it.each(HOSTILE)("is refused within bounds: %s", async (_, make, message) => {
    const { error, peak } = await tried(
      useWorkshop({ memoryBytesMax: HOSTILE_MEMORY }),
      taskOf(make()),
    );
    expect(error).toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringMatching(message),
    });
    expect(peak).toBeLessThan(HOSTILE_MEMORY);
  });

  it("is refused by the size of its file before it is read", async () => {
    const limits = { fileBytes: 200 };
    const task = taskOf(
      layerModel(40, 3, () => 1),
      { model: { limits } },
    );
    await expect(useWorkshop().compile(task)).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("at most 200 are taken"),
    });
  });

  it("is told all of its nodes that cannot be proved", async () => {
    const nodes: Node[] = [
      { op: "Sin", inputs: ["x"], outputs: ["a"] },
      { op: "Relu", inputs: ["a"], outputs: ["b"] },
      { op: "Erf", inputs: ["b"], outputs: ["y"] },
    ];
    const failure = useWorkshop().compile(taskOf(modelOf({ nodes })));
    await expect(failure).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: 'model.nodes["a"]', description: expect.stringContaining("Sin") },
        { field: 'model.nodes["y"]', description: expect.stringContaining("Erf") },
      ],
    });
  });

  it("is told how many constraints it needs, where that is too many", async () => {
    const workshop = useWorkshop();
    const model = layerModel(40, 3, (at) => at);
    const { report } = await workshop.compile(taskOf(model));
    const circuit = { constraintsMax: 64 };
    await expect(workshop.compile(taskOf(model, { circuit }))).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "CONSTRAINTS" }],
      message: expect.stringContaining(`needs ${report.constraints} constraints; at most 64`),
    });
  });
});

describe("a process that is lost", { timeout: 120_000 }, () => {
  it("costs a compilation and no more, on time, on memory, or killed", async () => {
    const task = taskOf(layerModel(4, 3, (at) => at));
    const late = useWorkshop({ compileTimeoutMs: 50 });
    await expect(late.compile(task)).rejects.toMatchObject({
      kind: "DeadlineExceeded",
      message: expect.stringContaining("0.05 s"),
    });
    expect(late.compilingId).toBeUndefined();
    const small = useWorkshop({ memoryBytesMax: 30 * MIB });
    await expect(small.compile(task)).rejects.toMatchObject({
      kind: "ResourceExhausted",
      message: expect.stringContaining("more than 30 MiB"),
    });
    const workshop = useWorkshop();
    const onProgress = (): void => {
      process.kill(workshop.compilingId!, "SIGKILL");
    };
    const lost = workshop.compile(task, { onProgress });
    await expect(lost).rejects.toMatchObject({ kind: "Unavailable" });
    expect((await workshop.compile(task)).report.constraints).toBeGreaterThan(0);
  });

  it("costs the row that it was at and no more; circuits are loaded again", async () => {
    const workshop = useWorkshop();
    const { files, source } = await useCircuit(workshop, 1);
    const other = await useCircuit(workshop, 2);
    await workshop.evaluate(source, [ROW]);
    const pid = workshop.evaluatingId!;
    const onProgress = (): void => {
      process.kill(pid, "SIGKILL");
    };
    const lost = workshop.evaluate(other.source, [ROW], { onProgress });
    const waiting = workshop.evaluate(source, [ROW]);
    await expect(lost).rejects.toMatchObject({ kind: "Unavailable" });
    const { proved, expected } = bothAnswers(files, (await waiting)[0]!, [1, 2, 3, 4]);
    expect(proved).toEqual(expected);
    expect(workshop.evaluatingId).not.toBe(pid);
    const late = useWorkshop({ evaluateTimeoutMs: 50 });
    await expect(late.evaluate(source, [ROW])).rejects.toMatchObject({ kind: "DeadlineExceeded" });
    const small = useWorkshop({ memoryBytesMax: 30 * MIB });
    await expect(small.evaluate(source, [ROW])).rejects.toMatchObject({
      kind: "ResourceExhausted",
    });
  });
});

describe("many tasks at once", { timeout: 120_000 }, () => {
  it("all get their own answers, and a small one does not wait for all rows of a large one", async () => {
    const workshop = useWorkshop();
    const circuits: Awaited<ReturnType<typeof useCircuit>>[] = [];
    for (const seed of [1, 2, 3]) circuits.push(await useCircuit(workshop, seed));
    const ends: string[] = [];
    const large = workshop
      .evaluate(
        circuits[0]!.source,
        Array.from({ length: 20_000 }, () => ROW),
      )
      .then((values) => {
        ends.push("large");
        return values;
      });
    const small = Array.from({ length: 60 }, async (_, i) => {
      const { files, source } = circuits[i % 3]!;
      const whole = [i, -i, 2 * i - 60, 1];
      const [values] = await workshop.evaluate(source, [{ tensors: [Float64Array.from(whole)] }]);
      ends.push("small");
      return bothAnswers(files, values!, whole);
    });
    for (const { proved, expected } of await Promise.all(small)) expect(proved).toEqual(expected);
    const values = await large;
    expect(values).toHaveLength(20_000);
    expect(values.every((one) => one.join() === values[0]!.join())).toBe(true);
    expect(ends.at(-1)).toBe("large");
  });

  it("are refused where there are too many", async () => {
    const workshop = useWorkshop();
    const { source } = await useCircuit(workshop, 1);
    const all = await Promise.allSettled(
      Array.from({ length: 1_010 }, () => workshop.evaluate(source, [ROW])),
    );
    const refused = all.filter((one) => one.status === "rejected");
    expect(refused).toHaveLength(9);
    for (const { reason } of refused) expect(reason).toMatchObject({ kind: "ResourceExhausted" });
  });
});
