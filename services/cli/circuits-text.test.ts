// The pure parts of `plinth circuits` and `plinth prove`: options, rows, reports.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { CalibrationReportSchema } from "../../gen/plinth/proofs/v1/calibration_pb.js";
import {
  CircuitSchema,
  CircuitOptions_InputMode as InputMode,
  CircuitOptions_OutputMode as OutputMode,
  KeySetup_Protocol as Protocol,
  CircuitOptions_Setup as Setup,
  Circuit_State as State,
} from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { ProvedOutputSchema } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { ModelVersionSchema } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { durationOf } from "../common/duration.ts";
import { SpreadRows } from "./circuits-calibration.ts";
import { inputRanges } from "./circuits-options.ts";
import { circuitLines, keyText, proveTimeText, stateText } from "./circuits-report.ts";
import { circuitAdvice } from "./circuits-words.ts";
import { UsageError } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { outputText } from "./proof-lines.ts";
import { RowInputs } from "./prove-inputs.ts";

const output = new Output({ json: false, quiet: false, color: false });
const NAME = "workspaces/default/models/churn/versions/3/circuits/exact";
const CONTRIBUTION = { name: "Alice", hash: "ab".repeat(64) };
const BEACON = {
  name: "drand",
  beacon: true,
  hash: "cd".repeat(64),
  beaconHash: "9f2c",
  beaconIterations: 10,
};

function circuitOf(given: MessageInitShape<typeof CircuitSchema> = {}) {
  return create(CircuitSchema, { name: NAME, state: State.READY, ...given });
}

function modelOf(inputs: readonly string[], columns: readonly string[] = []) {
  const specs = inputs.map((text) => {
    const [name = "", datatype = "FP32"] = text.split(":");
    return { name, datatype, shape: [-1n] };
  });
  return create(ModelVersionSchema, { signature: { inputs: specs }, columns: [...columns] });
}

describe("circuits-options", () => {
  it("reads ranges and shapes by input", () => {
    expect(inputRanges(["a=0:255:0", "b.c=-1.5:2e2:-3", "=x=0:1:4"], ["a=1x8x8"])).toEqual({
      a: { low: 0, high: 255, scaleBits: 0, shape: [1n, 8n, 8n] },
      "b.c": { low: -1.5, high: 200, scaleBits: -3 },
      "=x": { low: 0, high: 1, scaleBits: 4 },
    });
  });

  it.each([
    ["a=0:1", 15],
    ["a=0:65535", 0],
    ["a=0:65536", -1],
    ["a=-128:127", 8],
    ["a=0:1e-30", 60],
  ])("chooses the scale of %s so that 16 bits do", (text, scaleBits) => {
    expect(inputRanges([text], [])).toMatchObject({ a: { scaleBits } });
  });

  it.each([
    [["a=1"], []],
    [["a=1:1"], []],
    [["a=0:1", "a=0:2"], []],
    [[], ["a=1,8"]],
    [[], ["a=8", "a=9"]],
  ])("refuses --range %j with --shape %j", (ranges, shapes) => {
    expect(() => inputRanges(ranges, shapes)).toThrow(UsageError);
  });
});

describe("prove-inputs", () => {
  const row = (values: object) => ({ values: values as never, ordinal: 4, line: 5 });

  it("reads columns of the only input, in the model's order", () => {
    const inputs = new RowInputs(modelOf(["x"], ["a", "b"]), ["y"]);
    const first = row({ y: "no", b: 2, other: 1, a: true });
    expect(inputs.unknown(first)).toEqual(["other"]);
    expect(inputs.read(first)).toEqual([[1, 2]]);
    expect(inputs.messages([[[1, 2]], [[3, 4]]])).toEqual([{ name: "x", floats: [1, 2, 3, 4] }]);
  });

  it("reads inputs by name, nested values in order, each in its own precision", () => {
    const inputs = new RowInputs(modelOf(["x", "n:INT64"], ["a", "b"]));
    const values = inputs.read(row({ n: 7, x: [[1, 2], [[3]]] }));
    expect(values).toEqual([[1, 2, 3], [7]]);
    expect(inputs.messages([values])).toEqual([
      { name: "x", floats: [1, 2, 3] },
      { name: "n", doubles: [7] },
    ]);
    const named = new RowInputs(modelOf(["x"], ["a", "b"]));
    expect(named.read(row({ x: [5, 6] }))).toEqual([[5, 6]]);
  });

  it("takes the names of the rows where the model may not be read", () => {
    const inputs = new RowInputs(undefined);
    const values = inputs.read(row({ x: [0.1, 2] }));
    expect(inputs.messages([values])).toEqual([{ name: "x", doubles: [0.1, 2] }]);
  });

  it.each([
    [{ a: 1 }, 'row 4 (line 5): it has no "b".'],
    [{ a: 1, B: 1 }, 'it has no "b". Did you mean "B"?'],
    [{ a: 1, b: null }, "b: expected a finite number, got nothing."],
    [{ a: 1, b: "12" }, 'b: expected a finite number, got "12".'],
    [{ a: 1, b: [] }, "b is an empty list."],
    [{ a: 1, b: [1, 2] }, "x has 3 values; the first row has 2."],
  ])("says what is wrong with %j", (values, says) => {
    const inputs = new RowInputs(modelOf(["x"], ["a", "b"]));
    inputs.read(row({ a: 0, b: 0 }));
    expect(() => inputs.read(row(values))).toThrow(says);
  });
});

describe("circuits-calibration", () => {
  it("keeps all of a few rows, and spreads the rest evenly", () => {
    const kept = (count: number): readonly number[] => {
      const rows = new SpreadRows<number>();
      rows.limit(10);
      for (let i = 0; i < count; i += 1) {
        rows.add(i);
      }
      expect(rows.seen).toBe(count);
      return rows.kept;
    };
    expect(kept(10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(kept(11)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(kept(100)).toEqual([0, 16, 32, 48, 64, 80, 96]);
  });
});

describe("circuits-report", () => {
  it("says all of a circuit, in one column of facts and three tables", () => {
    const circuit = circuitOf({
      active: true,
      options: {
        weightTarget: { agreement: 0.999 },
        activationBits: 12,
        leafBits: 24,
        inputMode: InputMode.COMMITTED,
        outputMode: OutputMode.THRESHOLD,
        threshold: -0.25,
        context: true,
      },
      modelDigest: "dd".repeat(32),
      modelCommitment: "cc".repeat(32),
      verifyingKeyHash: "ee".repeat(32),
      calibration: create(CalibrationReportSchema, {
        samples: 398,
        rows: 398,
        refusedRows: 2,
        metric: "accuracy",
        floatMetric: 0.989,
        quantizedMetric: 0.9885,
        argmaxAgreement: 0.999999,
        outputs: [{ max: 0.01, mean: 0.002, rms: 0.003, p99: 0.009, bound: 0.5 }],
        layers: [
          { name: "dense", kind: "linear", values: 1000, bitsMax: 60, bitsSeen: 44 },
          {
            name: "dense",
            kind: "activate",
            values: 9,
            bitsMax: 12,
            bitsSeen: 11,
            dead: 1,
            constant: 2,
          },
        ],
        weightBits: 9,
      }),
      report: {
        constraints: 1234n,
        linearConstraints: 34n,
        wires: 1240n,
        domain: 2048n,
        publicValues: 3,
        circuitBytes: 2048n,
        keyBytes: 1_048_576n,
        headroom: [
          { step: "dense", bits: 60, spareBits: 192 },
          { step: "dense", bits: 12, spareBits: 240 },
        ],
        deadNeurons: 1n,
        proveTime: durationOf(1250),
        compileTime: durationOf(60),
        checkTime: durationOf(40),
        setupTime: durationOf(1500),
      },
      setup: {
        protocol: Protocol.GROTH16,
        contributions: [CONTRIBUTION, BEACON],
        verified: true,
        keyHash: "aa".repeat(32),
      },
      createTime: timestampFromDate(new Date("2026-01-31T08:00:00Z")),
      actor: "alice",
    });
    expect(circuitLines(output, circuit)).toEqual([
      `circuit:          ${NAME}`,
      "state:            READY, active",
      "made with:        weight bits for agreement 99.9%, 12 activation bits, inputs committed, " +
        "output threshold, threshold -0.25, with a context",
      "constraints:      1,234 (34 linear), 1,240 wires, domain 2^11, 2.0 KiB",
      "public values:    3",
      "prove time:       ~1.25 s (estimated)",
      "made in:          compiled 60 ms, soundness checked 40 ms, key 1.5 s",
      "key:              Groth16, ceremony of 1 contribution, closed and verified, 1.0 MiB",
      `key hash:         ${"aa".repeat(32)}`,
      `verifying key:    ${"ee".repeat(32)}`,
      `model commitment: ${"cc".repeat(32)}`,
      `model file:       ${"dd".repeat(32)}`,
      "created:          2026-01-31 08:00Z by alice",
      "",
      "Whole numbers against the float model, on 398 calibration rows",
      "accuracy:    0.989 float model, 0.9885 circuit",
      "same class:  99.999%",
      "refused:     2 rows with values that the inputs do not take",
      "weight bits: 9",
      "errors:      in units of the output before its sigmoid or softmax",
      "OUTPUT  MAX ERROR   MEAN    RMS    P99  PROVED BOUND",
      "     0       0.01  0.002  0.003  0.009           0.5",
      "",
      "STEP   KIND      VALUES  BITS SEEN  BITS POSSIBLE  BITS SPARE  DEAD  CONSTANT",
      "dense  linear     1,000         44             60         192",
      "dense  activate       9         11             12         240     1         2",
      "Activations that give the same for every input: 1",
      "",
      "CONTRIBUTION  KIND               HASH               TIME",
      "Alice         party              abababababababab…",
      "drand         beacon 9f2c… 2^10  cdcdcdcdcdcdcdcd…",
    ]);
  });

  it("says in a word what a key is, and how far a circuit", () => {
    const setup = { protocol: Protocol.GROTH16, contributions: [CONTRIBUTION, BEACON] };
    expect(keyText(circuitOf({ setup }))).toBe("ceremony of 1");
    expect(keyText(circuitOf({ setup: { ...setup, development: true } }))).toBe("DEVELOPMENT");
    expect(keyText(circuitOf({ setup: { protocol: Protocol.PLONK } }))).toBe("PLONK");
    const asked = { options: { setup: Setup.CEREMONY } };
    expect(keyText(circuitOf(asked))).toBe("none yet (ceremony)");
    expect(keyText(circuitOf({ ...asked, state: State.FAILED }))).toBe("");
    const progress = { phase: "making the key", done: 2, total: 4 };
    expect(stateText(circuitOf({ state: State.SETTING_UP, progress }))).toBe(
      "SETTING_UP, making the key [===============---------------] 50%  2 of 4 steps",
    );
    expect(
      proveTimeText(circuitOf({ report: { proofsMeasured: 3, proveTime: durationOf(50) } }).report),
    ).toBe("50 ms");
  });

  it("says what comes next", () => {
    const ceremony = (contributions: readonly object[]) =>
      circuitAdvice(
        circuitOf({
          state: State.AWAITING_CONTRIBUTIONS,
          setup: { contributions: [...contributions] },
        }),
      );
    expect(ceremony([])).toEqual([
      'Nobody has contributed yet: plinth circuits contribute churn/3/exact --name "..."',
    ]);
    expect(ceremony([CONTRIBUTION])).toHaveLength(2);
    expect(ceremony([CONTRIBUTION, BEACON])).toEqual([
      "Close the ceremony: plinth circuits activate churn/3/exact",
    ]);
    expect(circuitAdvice(circuitOf({ active: true }))).toEqual([
      "Prove with it: plinth prove churn/3 --row '{...}'",
    ]);
  });
});

describe("proof-lines", () => {
  it.each([
    ["1, 2.5", { values: [1, 2.5] }],
    ["0.5", { values: [0], after: "sigmoid", valuesAfter: [0.5] }],
    ["class 3", { classIndex: 3n }],
    ["high  0, 1", { classIndex: 1n, classLabel: "high", values: [0, 1] }],
    ["not reached (at least 0.5)", { reached: false, threshold: 0.5 }],
    [
      "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 and 1,988 more",
      { values: Array.from({ length: 2000 }, () => 1) },
    ],
  ])("shows an output as %s", (text, given) => {
    expect(outputText(create(ProvedOutputSchema, given))).toBe(text);
  });
});
