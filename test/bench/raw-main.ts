// The limit: onnxruntime-node in a process of its own with nothing around it. As many sessions as
// asked for, each on a worker thread and run in a closed loop on tensors made beforehand. Prints
// one line of JSON. Settings are onnxruntime's defaults but for the number of threads.

import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";

interface RawJob {
  readonly path: string;
  readonly rows: number;
  readonly cols: number;
  readonly intraOpThreads: number;
  readonly seconds: number;
  readonly warmUp: number;
}

interface RawTimes {
  readonly seconds: number;
  /** Processor time of the whole process in that time, in cores. */
  readonly cores: number;
  /** Milliseconds of each run. */
  readonly runs: Float64Array;
}

/** Several inputs by turns, so that no run finds its input where the last one left it. */
const INPUTS = 8;
/** Room for the times of a minute of the fastest model. */
const RUNS_MAX = 8_000_000;

if (isMainThread) {
  await main();
} else {
  parentPort!.postMessage(await measure(workerData as RawJob));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string" },
      rows: { type: "string", default: "1" },
      cols: { type: "string", default: "30" },
      sessions: { type: "string", default: "1" },
      "intra-op": { type: "string", default: "1" },
      seconds: { type: "string", default: "2" },
      "warm-up": { type: "string", default: "0.5" },
    },
  });
  const job: RawJob = {
    path: values.model!,
    rows: Number(values.rows),
    cols: Number(values.cols),
    intraOpThreads: Number(values["intra-op"]),
    seconds: Number(values.seconds),
    warmUp: Number(values["warm-up"]),
  };
  const all = await Promise.all(
    Array.from({ length: Number(values.sessions) }, () => inWorker(job)),
  );
  const rate = all.reduce((sum, times) => sum + times.runs.length / times.seconds, 0);
  const runs = Float64Array.from(all.flatMap((times) => [...times.runs])).sort();
  const at = (q: number) => runs[Math.min(runs.length - 1, Math.floor(q * runs.length))] ?? 0;
  const cores = all.reduce((sum, times) => sum + times.cores, 0) / all.length;
  console.log(
    JSON.stringify({
      count: runs.length,
      rate,
      rowRate: rate * job.rows,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      maxMs: runs.at(-1) ?? 0,
      serverCores: cores,
    }),
  );
}

function inWorker(job: RawJob): Promise<RawTimes> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function measure(job: RawJob): Promise<RawTimes> {
  const session = await InferenceSession.create(job.path, {
    intraOpNumThreads: job.intraOpThreads,
    interOpNumThreads: 1,
  });
  const feeds = Array.from({ length: INPUTS }, (_, seed) => {
    const values = Float32Array.from({ length: job.rows * job.cols }, (_, i) => Math.sin(i + seed));
    return { [session.inputNames[0]!]: new Tensor("float32", values, [job.rows, job.cols]) };
  });
  const times = new Float64Array(RUNS_MAX);
  const loop = async (seconds: number): Promise<number> => {
    const end = performance.now() + seconds * 1000;
    let count = 0;
    for (let now = performance.now(); now < end && count < RUNS_MAX; count++) {
      await session.run(feeds[count % INPUTS]!);
      const after = performance.now();
      times[count] = after - now;
      now = after;
    }
    return count;
  };
  await loop(job.warmUp);
  const started = performance.now();
  const before = process.cpuUsage();
  const count = await loop(job.seconds);
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(before);
  await session.release();
  return { seconds, cores: (used.user + used.system) / 1e6 / seconds, runs: times.slice(0, count) };
}
