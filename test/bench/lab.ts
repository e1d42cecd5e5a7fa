// What a run of the bench has at hand: programs, model files and the servers, each started when a
// case first asks for it and kept until the end, so that all have warmed up alike.

import { join } from "node:path";
import {
  type Load,
  type Span,
  startCalibration,
  startEcho,
  startPython,
  type Target,
} from "./contenders.ts";
import { type FeatureMesh, startFeatureMesh } from "./feature-mesh.ts";
import { MODELS, writeModels } from "./models.ts";
import { type MonitoringMesh, startMonitoringMesh } from "./monitoring-mesh.ts";
import { type Plinth, startPlinth } from "./plinth.ts";
import { type ReceiptsMesh, startReceiptsMesh } from "./receipts-mesh.ts";
import { buildLoad, CACHE, preparePython } from "./tools.ts";

/** Servers, files and how long to measure. */
export class Lab implements AsyncDisposable {
  readonly loadProgram: string;
  readonly paths: ReadonlyMap<string, string>;
  /** Why a contender is missing, and what the others say of themselves. */
  readonly notes: string[] = [];
  readonly #pythonInline: boolean;
  readonly #started = new Map<string, Promise<unknown>>();
  readonly #stack = new AsyncDisposableStack();

  private constructor(
    loadProgram: string,
    paths: ReadonlyMap<string, string>,
    pythonInline: boolean,
  ) {
    this.loadProgram = loadProgram;
    this.paths = paths;
    this.#pythonInline = pythonInline;
  }

  /** Builds and writes what has to be there before anything is measured. */
  static async open(options: { readonly pythonInline: boolean }): Promise<Lab> {
    const paths = await writeModels(join(CACHE, "models"));
    return new Lab(await buildLoad(), paths, options.pythonInline);
  }

  /** The bare grpc-js server whose answers are the size of answers to this load. */
  echo(load: Load): Promise<Target | undefined> {
    const key = `echo ${load.model.name} ${load.rows}`;
    return this.#once(key, () => startEcho(load));
  }

  /** The load generator's own server. */
  calibration(): Promise<Target | undefined> {
    return this.#once("calibration", () => startCalibration(this.loadProgram));
  }

  /** The Python server, or undefined where Python is missing. */
  python(): Promise<Target | undefined> {
    return this.#once("python", async () => {
      const tools = await preparePython();
      const models = MODELS.filter((model) => model.maxBatchRows > 1);
      const inline = this.#pythonInline;
      const server = await startPython({ tools, models, paths: this.paths, inline });
      this.notes.push(`python: ${server.versions}${inline ? ", runs on the event loop" : ""}`);
      return server;
    });
  }

  /** The mesh with the models of the bench. */
  plinth(): Promise<Plinth | undefined> {
    return this.#once("plinth", () => startPlinth(this.paths));
  }

  /** A mesh with a filled feature store. */
  features(): Promise<FeatureMesh | undefined> {
    return this.#once("features", () => startFeatureMesh(this.paths));
  }

  /** Services in processes of their own, of which one monitors. */
  monitoring(): Promise<MonitoringMesh | undefined> {
    return this.#once("monitoring", () => startMonitoringMesh(this.paths));
  }

  /** Services in processes of their own, of which one logs receipts. */
  receipts(): Promise<ReceiptsMesh | undefined> {
    return this.#once("receipts", () => startReceiptsMesh(this.paths));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #once<T extends AsyncDisposable>(key: string, start: () => Promise<T>): Promise<T | undefined> {
    const started = this.#started.get(key) ?? this.#start(key, start);
    this.#started.set(key, started);
    return started as Promise<T | undefined>;
  }

  /** A contender that cannot be had leaves its rows unmeasured; the others go on. */
  async #start<T extends AsyncDisposable>(
    key: string,
    start: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return this.#stack.use(await start());
    } catch (error) {
      const note = `${key} is missing: ${(error as Error).message}`;
      console.error(note);
      this.notes.push(note);
      return undefined;
    }
  }
}

/** What a contender gets to measure itself. */
export interface Turn {
  readonly lab: Lab;
  readonly span: Span;
}
