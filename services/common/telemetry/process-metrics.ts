// How the process itself is doing: event loop, CPU and memory, read when metrics are collected.

import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Meter } from "@opentelemetry/api";

/**
 * Milliseconds between samples of the event loop delay; 100 timer ticks a second cost next to
 * nothing.
 */
const RESOLUTION_MS = 10;

/**
 * Delays are told over at least this window, so that two collectors do not empty it for each other.
 */
const WINDOW_MS = 10_000;

/** Registers the gauges; dispose to stop sampling. */
export function observeProcess(meter: Meter): Disposable {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  let windowStartMs = performance.now();
  let lastLoop: EventLoopUtilization = performance.eventLoopUtilization();
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { unit, description });
  const delay = (which: string) =>
    gauge(`nodejs.eventloop.delay.${which}`, "s", `Event loop delay, ${which}, last 10 s or more.`);
  const [mean, p50, p90, p99, max] = [
    delay("mean"),
    delay("p50"),
    delay("p90"),
    delay("p99"),
    delay("max"),
  ];
  const utilization = gauge("nodejs.eventloop.utilization", "1", "Busy share of the event loop.");
  const resident = gauge("process.memory.usage", "By", "Resident memory of the process.");
  const heapUsed = gauge("v8js.memory.heap.used", "By", "Heap in use by JavaScript objects.");
  const external = gauge("plinth.process.memory.external", "By", "Memory of buffers off the heap.");
  const cpu = meter.createObservableCounter("process.cpu.time", {
    unit: "s",
    description: "CPU time used by all threads of the process.",
  });
  const seconds = (ns: number): number => {
    // The monitor counts the time between its ticks, of which the resolution is no delay.
    const delayed = ns / 1e9 - RESOLUTION_MS / 1e3;
    return Number.isFinite(delayed) ? Math.max(0, delayed) : 0;
  };
  const observed = [mean, p50, p90, p99, max, utilization, resident, heapUsed, external, cpu];
  const collect: Parameters<Meter["addBatchObservableCallback"]>[0] = (result) => {
    result.observe(mean!, seconds(delays.mean));
    result.observe(p50!, seconds(delays.percentile(50)));
    result.observe(p90!, seconds(delays.percentile(90)));
    result.observe(p99!, seconds(delays.percentile(99)));
    result.observe(max!, seconds(delays.max));
    result.observe(utilization, performance.eventLoopUtilization(lastLoop).utilization);
    const memory = process.memoryUsage();
    result.observe(resident, memory.rss);
    result.observe(heapUsed, memory.heapUsed);
    result.observe(external, memory.external);
    const used = process.cpuUsage();
    result.observe(cpu, used.user / 1e6, { "cpu.mode": "user" });
    result.observe(cpu, used.system / 1e6, { "cpu.mode": "system" });
    if (performance.now() - windowStartMs >= WINDOW_MS) {
      delays.reset();
      windowStartMs = performance.now();
      lastLoop = performance.eventLoopUtilization();
    }
  };
  const instruments = observed.filter((one) => one !== undefined);
  meter.addBatchObservableCallback(collect, instruments);
  return {
    [Symbol.dispose]: () => {
      meter.removeBatchObservableCallback(collect, instruments);
      delays.disable();
    },
  };
}
