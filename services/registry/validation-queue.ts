// Validates the versions that wait for it, a few at a time. A version is taken under a lease, a
// document of its own that its holder renews, so that replicas share the work and a dead one's is
// taken over. An attempt that says nothing of the model (no disk, no store, no sandbox) leaves the
// version VALIDATING for the next look; only a verdict on the file changes it.

import { randomUUID } from "node:crypto";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import {
  collect,
  findDocument,
  updateDocument,
  withoutStamps,
} from "../common/documents/resource.ts";
import { Aborted, AlreadyExists, DataLoss, NotFound } from "../common/errors/domain-error.ts";
import type { RegistryConfig } from "./config.ts";
import type { RegistryEvents } from "./events.ts";
import { type ModelVersion, storedGraph } from "./model-version.ts";
import { runSandbox } from "./sandbox.ts";
import type { SandboxReport } from "./sandbox-report.ts";
import type { RegistryStore, ValidationLease } from "./store.ts";
import { corruptFailure } from "./validation-failure.ts";
import { resolveNames } from "./version-metadata.ts";

export interface ValidationDeps {
  readonly config: RegistryConfig;
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly events: RegistryEvents;
}

/** A heartbeat may be missed once. */
const RENEWALS_PER_LEASE = 3;

/** Owns the background validation of one replica. */
export class ValidationQueue implements AsyncDisposable {
  readonly #deps: ValidationDeps;
  readonly #owner = randomUUID();
  readonly #stop = new AbortController();
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #isStarted = false;

  constructor(deps: ValidationDeps) {
    this.#deps = deps;
  }

  /** Takes up what waits, now and every poll interval. */
  start(): void {
    this.#isStarted = true;
    this.#timer = setInterval(() => void this.#look(), this.#deps.config.validationPollMs);
    this.#timer.unref();
    void this.#look();
  }

  /** Has a version validated as soon as there is room. */
  add(name: string): void {
    if (this.#isStarted && !this.#stop.signal.aborted && !this.#running.has(name)) {
      this.#waiting.add(name);
      this.#fill();
    }
  }

  /** Ends what runs; its versions stay VALIDATING and are free for other replicas at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  async #look(): Promise<void> {
    try {
      const { store } = this.#deps;
      const { signal } = this.#stop;
      for (const { _id } of await collect(
        store.versions.find({ state: "VALIDATING" }, { signal }),
      )) {
        this.add(_id);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#deps.events.validationInterrupted("*", error);
      }
    }
  }

  #fill(): void {
    for (const name of this.#waiting) {
      if (this.#running.size >= this.#deps.config.sandboxParallelism) {
        return;
      }
      this.#waiting.delete(name);
      const run = this.#attempt(name).finally(() => {
        this.#running.delete(name);
        this.#fill();
      });
      this.#running.set(name, run);
    }
  }

  async #attempt(name: string): Promise<void> {
    try {
      if (await this.#acquire(name)) {
        try {
          await this.#underLease(name);
        } finally {
          await this.#release(name);
        }
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#deps.events.validationInterrupted(name, error);
      }
    }
  }

  async #underLease(name: string): Promise<void> {
    const lost = new AbortController();
    const renewEveryMs = this.#deps.config.validationLeaseMs / RENEWALS_PER_LEASE;
    const heartbeat = setInterval(async () => {
      const isOurs = await this.#renew(name).catch(() => true);
      if (!isOurs) {
        lost.abort();
      }
    }, renewEveryMs);
    try {
      const signal = AbortSignal.any([this.#stop.signal, lost.signal]);
      const version = await findDocument(this.#deps.store.versions, name);
      if (version?.state === "VALIDATING") {
        await validateModelVersion(this.#deps, withoutStamps(version), signal);
      }
    } finally {
      clearInterval(heartbeat);
    }
  }

  async #acquire(name: string): Promise<boolean> {
    const { leases } = this.#deps.store;
    const lease = this.#lease(name);
    const held = await leases.findOne({ _id: name });
    try {
      if (held === undefined) {
        await leases.insertOne(lease);
        return true;
      }
      if (held.until.getTime() > this.#deps.clock.now()) {
        return false;
      }
      await leases.replaceOne(lease, { ifVersion: held.version });
      return true;
    } catch (error) {
      return ifRaced(error, false);
    }
  }

  async #renew(name: string): Promise<boolean> {
    const { leases } = this.#deps.store;
    const held = await leases.findOne({ _id: name });
    if (held?.owner !== this.#owner) {
      return false;
    }
    try {
      await leases.replaceOne(this.#lease(name), { ifVersion: held.version });
      return true;
    } catch (error) {
      return ifRaced(error, false);
    }
  }

  async #release(name: string): Promise<void> {
    const { leases } = this.#deps.store;
    const held = await leases.findOne({ _id: name });
    if (held?.owner === this.#owner) {
      await leases.deleteOne(name, { ifVersion: held.version }).catch((e) => ifRaced(e, false));
    }
  }

  #lease(name: string): ValidationLease {
    const { clock, config } = this.#deps;
    const until = new Date(clock.now() + config.validationLeaseMs);
    return { _id: name, owner: this.#owner, until };
  }
}

/**
 * Tries the version's bytes in the sandbox and stores the verdict.
 * @throws whatever kept it from a verdict; the version is then as it was.
 */
async function validateModelVersion(
  deps: ValidationDeps,
  version: ModelVersion,
  signal: AbortSignal,
): Promise<void> {
  const begun = deps.clock.monotonicMs();
  const report = await examine(deps, version, signal);
  const verdict = verdictOf(version, report);
  const updateTime = new Date(deps.clock.now());
  try {
    await updateDocument(deps.store.versions, { name: version._id }, (current) =>
      current.uid === version.uid && current.state === "VALIDATING"
        ? { ...current, ...verdict, updateTime }
        : current,
    );
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
    // It was deleted while it was tried.
    return;
  }
  deps.events.modelVersionValidated(version._id, {
    outcome: verdict.failure?.reason ?? "READY",
    message: verdict.failure?.message ?? "",
    durationMs: deps.clock.monotonicMs() - begun,
  });
}

async function examine(
  deps: ValidationDeps,
  version: ModelVersion,
  signal: AbortSignal,
): Promise<SandboxReport> {
  let path: string;
  try {
    path = await deps.blobs.localPath(version.sha256);
  } catch (error) {
    if (error instanceof DataLoss || error instanceof NotFound) {
      return { failure: corruptFailure("the stored bytes are damaged or gone") };
    }
    throw error;
  }
  const limits = {
    timeoutMs: deps.config.sandboxTimeoutMs,
    memoryBytes: deps.config.sandboxMemoryBytes,
  };
  return runSandbox(path, limits, signal);
}

type Verdict = Pick<
  ModelVersion,
  "state" | "failure" | "signature" | "graph" | "columns" | "classLabels"
>;

function verdictOf(version: ModelVersion, report: SandboxReport): Verdict {
  const { columns, classLabels } = version;
  const graph = report.graph === undefined ? null : storedGraph(report.graph);
  const failed = { state: "FAILED", signature: null, graph, columns, classLabels } as const;
  if (report.signature === undefined || report.graph === undefined) {
    const failure = report.failure ?? corruptFailure("the sandbox said nothing of it");
    return { ...failed, failure };
  }
  const resolved = resolveNames({ columns, classLabels }, report.graph, report.signature);
  if ("failure" in resolved) {
    return { ...failed, failure: resolved.failure };
  }
  return { state: "READY", failure: null, signature: report.signature, graph, ...resolved.names };
}

function ifRaced<T>(error: unknown, result: T): T {
  if (error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound) {
    return result;
  }
  throw error;
}
