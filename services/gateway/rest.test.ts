import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ModelInferRequest } from "../../gen/inference/grpc_service_pb.js";
import { useGateway } from "./testing.ts";

const INFER = "/v2/models/echo/infer";

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

async function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer> | object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const raw = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: "POST",
    headers,
    body: raw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, text, json: JSON.parse(text) };
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url);
  const text = await response.text();
  return { status: response.status, text, json: JSON.parse(text) };
}

function tensor(datatype: string, shape: number[], data: unknown): object {
  return { inputs: [{ name: "x", datatype, shape, data }] };
}

function raw(seen: { request?: unknown }): Buffer[] {
  return (seen.request as ModelInferRequest).rawInputContents.map((bytes) => Buffer.from(bytes));
}

describe("rest", () => {
  it("answers the protocol's questions about server and models", async () => {
    const { url } = await useGateway();
    expect((await get(`${url}/v2`)).json).toEqual({
      name: "plinth",
      version: "0.1.0",
      extensions: ["statistics"],
    });
    expect(await get(`${url}/v2/health/live`)).toMatchObject({ status: 200, json: { live: true } });
    expect(await get(`${url}/v2/health/ready`)).toMatchObject({
      status: 503,
      json: { ready: false },
    });
    expect((await get(`${url}/v2/models/echo/versions/7`)).json).toEqual({
      name: "echo",
      versions: ["7"],
      platform: "onnxruntime_onnx",
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 30] }],
      outputs: [{ name: "y", datatype: "INT64", shape: [-1] }],
      properties: {},
    });
    expect(await get(`${url}/v2/models/echo/ready`)).toMatchObject({
      status: 200,
      json: { name: "echo", ready: true },
    });
    expect((await get(`${url}/v2/models/other/ready`)).status).toBe(503);
  });

  it("writes config and statistics as Triton does, with every digit", async () => {
    const { url } = await useGateway();
    expect((await get(`${url}/v2/models/echo/config`)).json).toMatchObject({
      name: "echo",
      max_batch_size: 64,
      input: [{ name: "x", dims: [30], data_type: "TYPE_FP32" }],
    });
    const stats = await get(`${url}/v2/models/echo/versions/7/stats`);
    expect(stats.text).toContain('"inference_count":9007199254740993');
    expect(stats.json).toMatchObject({
      model_stats: [{ inference_stats: { success: { count: 3, ns: 4000 } } }],
    });
    expect((await get(`${url}/v2/models/stats`)).status).toBe(200);
  });

  it("lists the repository as a list", async () => {
    const { url } = await useGateway();
    const index = await post(`${url}/v2/repository/index`, { ready: true });
    expect(index.json).toEqual([{ name: "echo", version: "7", state: "READY", reason: "" }]);
    expect((await post(`${url}/v2/repository/index`, "")).json).toMatchObject([
      { state: "LOADING" },
    ]);
  });

  it("finds a model by an encoded name and hands caller, version and deadline on", async () => {
    const { url, seen } = await useGateway();
    const path = "/v2/models/workspaces%2Fw%2Fdeployments%2Fd/versions/3/infer";
    const before = Date.now();
    await post(`${url}${path}`, tensor("FP32", [1], [1]), {
      authorization: "Bearer k.s",
      "plinth-workspace": "w",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "grpc-timeout": "5000S",
      "x-other": "1",
    });
    expect(seen.request).toMatchObject({
      modelName: "workspaces/w/deployments/d",
      modelVersion: "3",
    });
    expect(seen.context?.header("authorization")).toBe("Bearer k.s");
    expect(seen.context?.header("plinth-workspace")).toBe("w");
    expect(seen.context?.header("traceparent")).toContain("0af7651916cd43dd8448eb211c80319c");
    expect(seen.context?.header("x-other")).toBeUndefined();
    expect(seen.context?.deadlineMs).toBeGreaterThan(before + 4_900_000);
    const bad = await post(`${url}${INFER}`, {}, { "connect-timeout-ms": "soon" });
    expect(bad).toMatchObject({
      status: 400,
      json: { error: expect.stringMatching(/connect-timeout-ms/) },
    });
  });
});

describe("rest inference in JSON", () => {
  it("takes flat and nested data and gives flat data back", async () => {
    const { url, seen } = await useGateway();
    const flat = await post(`${url}${INFER}`, {
      id: "a",
      ...tensor("FP32", [2, 2], [1, 2.5, -3, 0.1]),
    });
    expect(flat.json).toEqual({
      model_name: "echo",
      model_version: "7",
      id: "a",
      outputs: [
        { name: "x", datatype: "FP32", shape: [2, 2], data: [1, 2.5, -3, Math.fround(0.1)] },
      ],
    });
    const sent = raw(seen);
    await post(
      `${url}${INFER}`,
      tensor(
        "FP32",
        [2, 2],
        [
          [1, 2.5],
          [-3, 0.1],
        ],
      ),
    );
    expect(raw(seen)).toEqual(sent);
    expect(sent[0]?.toString("hex")).toBe("0000803f00002040000040c0cdcccc3d");
  });

  const whole: readonly (readonly [string, unknown[]])[] = [
    ["BOOL", [true, false]],
    ["INT8", [-128, 127]],
    ["INT16", [-32768, 32767]],
    ["INT32", [-2147483648, 2147483647]],
    ["UINT8", [0, 255]],
    ["UINT16", [0, 65535]],
    ["UINT32", [0, 4294967295]],
    ["FP32", [1.5, "NaN"]],
    ["FP64", [0.1, "-Infinity"]],
    ["BYTES", ["", "caf\u00e9 \u{1f600}"]],
  ];
  it.each(whole)("carries %s there and back", async (datatype, data) => {
    const { url } = await useGateway();
    const answer = await post(`${url}${INFER}`, tensor(datatype, [2], data));
    expect(answer.json).toMatchObject({ outputs: [{ datatype, shape: [2], data }] });
  });

  it("keeps every digit of 64-bit integers", async () => {
    const { url, seen } = await useGateway();
    const text = (datatype: string, numbers: string): string =>
      `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[3],"data":[${numbers}]}]}`;
    const signed = "9223372036854775807,-9223372036854775808,9007199254740993";
    expect((await post(`${url}${INFER}`, text("INT64", signed))).text).toContain(`[${signed}]`);
    expect(raw(seen)[0]?.readBigInt64LE(16)).toBe(9007199254740993n);
    const unsigned = "18446744073709551615,0,1";
    expect((await post(`${url}${INFER}`, text("UINT64", unsigned))).text).toContain(unsigned);
    const strings = await post(`${url}${INFER}`, text("UINT64", '"18446744073709551615",0,1'));
    expect(strings.text).toContain(unsigned);
    // Beyond 2^53 in a float is the nearest float, as in any JSON reader.
    const float = await post(`${url}${INFER}`, text("FP64", "9007199254740993,1,2"));
    expect(float.json).toMatchObject({ outputs: [{ data: [9007199254740992, 1, 2] }] });
  });

  it("takes scalars and empty tensors", async () => {
    const { url } = await useGateway();
    const scalar = await post(`${url}${INFER}`, tensor("FP32", [], [7]));
    expect(scalar.json).toMatchObject({ outputs: [{ shape: [], data: [7] }] });
    const empty = await post(`${url}${INFER}`, tensor("FP32", [0, 4], []));
    expect(empty.json).toMatchObject({ outputs: [{ shape: [0, 4], data: [] }] });
  });

  it("hands parameters on by their JSON type, and keeps its own to itself", async () => {
    const { url, seen } = await useGateway();
    await post(`${url}${INFER}`, {
      parameters: { priority: 2, p: 0.5, s: "t", b: true, binary_data_output: false },
      inputs: [{ name: "x", datatype: "FP32", shape: [1], data: [1], parameters: { q: 1 } }],
      outputs: [{ name: "x", parameters: { classification: 3, binary_data: false } }],
    });
    const value = (c: string, v: unknown) => ({ parameterChoice: { case: c, value: v } });
    const request = seen.request as ModelInferRequest;
    expect(Object.keys(request.parameters)).toEqual(["priority", "p", "s", "b"]);
    expect(request.parameters).toMatchObject({
      priority: value("int64Param", 2n),
      p: value("doubleParam", 0.5),
      s: value("stringParam", "t"),
      b: value("boolParam", true),
    });
    expect(request.inputs[0]?.parameters).toMatchObject({ q: value("int64Param", 1n) });
    expect(Object.keys(request.outputs[0]?.parameters ?? {})).toEqual(["classification"]);
  });

  const refused: readonly (readonly [string, unknown, RegExp])[] = [
    ["too few elements", tensor("FP32", [2, 2], [1, 2, 3]), /"x"\)\.data has 3 .* needs 4/],
    ["uneven nesting", tensor("FP32", [2, 2], [[1, 2], [3]]), /list of 1 at depth 1/],
    ["nesting beyond the shape", tensor("FP32", [2], [[1], [2]]), /not nested evenly/],
    ["a dimension below 0", tensor("FP32", [-1], [1]), /shape must hold integers from 0/],
    [
      "a shape that overflows",
      tensor("FP32", [2 ** 50, 2 ** 50], [1]),
      /needs 1267650600228229401496703205376/,
    ],
    ["a fraction for an integer", tensor("INT8", [1], [1.5]), /1\.5 as element 0; expected INT8/],
    ["an integer out of range", tensor("UINT8", [2], [1, 256]), /256 as element 1/],
    ["a float beyond FP32", tensor("FP32", [1], [1e39]), /expected FP32/],
    ["null for NaN", tensor("FP32", [1], [null]), /null as element 0/],
    ["a number for a string", tensor("BYTES", [1], [1]), /expected BYTES/],
    ["half a surrogate pair", tensor("BYTES", [1], ["\ud800"]), /expected BYTES/],
    ["FP16", tensor("FP16", [1], [1]), /binary extension/],
    ["an unknown datatype", tensor("FLOAT", [1], [1]), /unknown datatype "FLOAT"; expected BOOL/],
    [
      "no data",
      { inputs: [{ name: "x", datatype: "FP32", shape: [1] }] },
      /neither data nor|neither/,
    ],
    ["no inputs", {}, /inputs must be a list/],
    ["a list", [], /must be a JSON object/],
    ["a nested parameter", { inputs: [], parameters: { a: {} } }, /parameters\.a must be/],
    ["no JSON", "{", /not valid JSON/],
    ["a bare NaN", '{"inputs":[NaN]}', /as the strings "NaN"/],
    ["nothing", "", /body is empty/],
  ];
  it.each(refused)("refuses %s in words", async (_name, body, words) => {
    const { url, seen } = await useGateway();
    const answer = await post(`${url}${INFER}`, body as object);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.json)).toEqual(["error"]);
    expect(answer.json.error).toMatch(words);
    expect(seen.request).toBeUndefined();
  });

  it("gives failures of the service the HTTP status they mean", async () => {
    const { url, unforeseen } = await useGateway();
    const body = tensor("FP32", [1], [1]);
    const lost = await post(`${url}/v2/models/lost/infer`, body);
    expect(lost).toMatchObject({ status: 404, json: { error: 'There is no deployment "lost".' } });
    const away = await fetch(`${url}/v2/models/away`);
    expect(away.status).toBe(503);
    expect(away.headers.get("retry-after")).toBe("3");
    const broken = await post(`${url}/v2/models/broken/infer`, body);
    expect(broken.status).toBe(500);
    expect(broken.text).not.toContain("secret");
    expect(unforeseen).toEqual([]);
  });
});

describe("rest inference in binary", () => {
  const floats = Buffer.from(new Float32Array([1, 2.5, -3, 4]).buffer);
  const halves = Buffer.from([0x00, 0x3c, 0x00, 0xc0]);
  const strings = Buffer.from([2, 0, 0, 0, 0xff, 0xfe, 0, 0, 0, 0]);

  function binaryBody(json: object, ...tails: Buffer[]) {
    const head = Buffer.from(JSON.stringify(json));
    return {
      body: new Uint8Array(Buffer.concat([head, ...tails])),
      headers: {
        "inference-header-content-length": String(head.length),
        "content-type": "application/octet-stream",
      },
    };
  }

  const inputs = [
    { name: "f", datatype: "FP32", shape: [2, 2], parameters: { binary_data_size: 16 } },
    { name: "j", datatype: "INT32", shape: [1], data: [5] },
    { name: "h", datatype: "FP16", shape: [2], parameters: { binary_data_size: 4 } },
    { name: "s", datatype: "BYTES", shape: [2], parameters: { binary_data_size: 10 } },
  ];

  it("carries binary inputs there and asked-for outputs back, byte for byte", async () => {
    const { url, seen } = await useGateway();
    const outputs = [{ name: "j", parameters: { binary_data: false } }, { name: "h" }];
    const asked = { parameters: { binary_data_output: true }, inputs, outputs };
    const { body, headers } = binaryBody(asked, floats, halves, strings);
    const response = await fetch(`${url}${INFER}`, { method: "POST", headers, body });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    const bytes = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get("inference-header-content-length"));
    expect(JSON.parse(bytes.toString("utf8", 0, length)).outputs).toEqual([
      { name: "f", datatype: "FP32", shape: [2, 2], parameters: { binary_data_size: 16 } },
      { name: "j", datatype: "INT32", shape: [1], data: [5] },
      { name: "h", datatype: "FP16", shape: [2], parameters: { binary_data_size: 4 } },
      { name: "s", datatype: "BYTES", shape: [2], parameters: { binary_data_size: 10 } },
    ]);
    expect(bytes.subarray(length)).toEqual(Buffer.concat([floats, halves, strings]));
    expect(raw(seen)).toEqual([floats, Buffer.from([5, 0, 0, 0]), halves, strings]);
    expect((seen.request as ModelInferRequest).inputs[0]?.parameters).toEqual({});
  });

  it("answers in JSON unless asked, and says what JSON cannot carry", async () => {
    const { url } = await useGateway();
    const one = binaryBody({ inputs: inputs.slice(0, 1) }, floats);
    expect((await post(`${url}${INFER}`, one.body, one.headers)).json).toMatchObject({
      outputs: [{ data: [1, 2.5, -3, 4] }],
    });
    const half = binaryBody({ inputs: inputs.slice(2, 3) }, halves);
    const refused = await post(`${url}${INFER}`, half.body, half.headers);
    expect(refused).toMatchObject({
      status: 400,
      json: { error: expect.stringMatching(/outputs\.h is FP16/) },
    });
    const text = binaryBody({ inputs: inputs.slice(3) }, strings);
    expect((await post(`${url}${INFER}`, text.body, text.headers)).json.error).toMatch(/UTF-8/);
  });

  it("refuses sizes that do not add up", async () => {
    const { url } = await useGateway();
    const short = binaryBody({ inputs: inputs.slice(0, 1) }, floats.subarray(4));
    expect((await post(`${url}${INFER}`, short.body, short.headers)).json.error).toMatch(
      /is 16, but 12 bytes are left/,
    );
    const long = binaryBody({ inputs: inputs.slice(0, 1) }, floats, halves);
    expect((await post(`${url}${INFER}`, long.body, long.headers)).json.error).toMatch(
      /4 bytes follow/,
    );
    const headers = { "inference-header-content-length": "99999" };
    expect((await post(`${url}${INFER}`, short.body, headers)).status).toBe(400);
    const both = [{ ...inputs[0], data: [1, 2, 3, 4] }];
    const twice = binaryBody({ inputs: both }, floats);
    expect((await post(`${url}${INFER}`, twice.body, twice.headers)).json.error).toMatch(/both/);
  });

  it("takes gzip and deflate, and nothing that is neither", async () => {
    const { url } = await useGateway();
    const { body, headers } = binaryBody({ inputs: inputs.slice(0, 1) }, floats);
    for (const [encoding, packed] of [
      ["gzip", gzipSync(body)],
      ["deflate", deflateSync(body)],
    ] as const) {
      const sent = { ...headers, "content-encoding": encoding };
      const answer = await post(`${url}${INFER}`, new Uint8Array(packed), sent);
      expect(answer.json).toMatchObject({ outputs: [{ data: [1, 2.5, -3, 4] }] });
    }
    const unknown = await post(`${url}${INFER}`, body, { ...headers, "content-encoding": "br" });
    expect(unknown.status).toBe(415);
    const damaged = await post(`${url}${INFER}`, body, { ...headers, "content-encoding": "gzip" });
    expect(damaged).toMatchObject({
      status: 400,
      json: { error: expect.stringMatching(/not valid gzip/) },
    });
  });
});

describe("rest limits", () => {
  it("refuses a big body with 413, announced, chunked or packed", async () => {
    const { url, seen } = await useGateway({ bodyBytesMax: 50_000 });
    const big = "x".repeat(3_000_000);
    const announced = await post(`${url}${INFER}`, big);
    expect(announced).toMatchObject({
      status: 413,
      json: { error: expect.stringMatching(/3000000 .* up to 50000/) },
    });
    const stream = new Blob([big]).stream();
    const chunked = await fetch(`${url}${INFER}`, { method: "POST", body: stream, duplex: "half" });
    expect(chunked.status).toBe(413);
    const bomb = new Uint8Array(gzipSync(big));
    expect(bomb.length).toBeLessThan(50_000);
    const packed = await post(`${url}${INFER}`, bomb, { "content-encoding": "gzip" });
    expect(packed).toMatchObject({
      status: 413,
      json: { error: expect.stringMatching(/after decompression/) },
    });
    expect(seen.request).toBeUndefined();
  });

  it("refuses big JSON earlier than big binary", async () => {
    const { url } = await useGateway({ jsonBytesMax: 1000 });
    const answer = await post(`${url}${INFER}`, tensor("INT8", [600], new Array(600).fill(1)));
    expect(answer).toMatchObject({
      status: 413,
      json: { error: expect.stringMatching(/PLINTH_GATEWAY_JSON_MAX/) },
    });
  });
});
