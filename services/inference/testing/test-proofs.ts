// A proofs service for tests: a real server whose circuits compute in whole numbers what the test
// says, and whose proofs are made when the test says so. It can be away and refuse.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { CircuitService } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import {
  type Proof,
  type ProofJob,
  ProofJobSchema,
  ProofSchema,
  type ProvedOutputSchema,
  ProofJob_State as State,
} from "../../../gen/plinth/proofs/v1/proof_pb.js";
import {
  ProofService,
  type ProveInferenceRequest,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import { Channel } from "../../common/rpc/client.ts";
import type { CallContext, ServiceBinding } from "../../common/rpc/context.ts";
import { type RpcServer, startRpcServer } from "../../common/rpc/server.ts";

/** What a circuit gives for one row of its inputs, by name; throws what it refuses. */
export type TestCircuit = (
  inputs: Readonly<Record<string, readonly number[]>>,
  row: number,
) => MessageInitShape<typeof ProvedOutputSchema>;

interface Job {
  readonly value: ProofJob;
  readonly proofs: Proof[];
  /** Called at each change. */
  readonly watchers: Set<() => void>;
}

export class TestProofs implements AsyncDisposable {
  readonly channel: Channel;
  /** Every request of ProveInference, those that were replayed too. */
  readonly asked: ProveInferenceRequest[] = [];
  /** Jobs, oldest first. */
  readonly jobs: Job[] = [];
  /** Whether the circuit binds a context. */
  hasContext = false;
  /** Thrown by every call while it is set. */
  failure: Error | undefined;
  /** Thrown by every watch while it is set. */
  watchFailure: Error | undefined;
  /** How often it was. */
  watchesRefused = 0;
  /** What ProveInference waits for. */
  gate: Promise<void> | undefined;
  /** Watches that are open. */
  watching = 0;
  readonly #circuit: TestCircuit;
  readonly #requests = new Map<string, Job>();
  readonly #serves: boolean;
  #server: RpcServer | undefined;
  #address = "";

  private constructor(circuit: TestCircuit, serves: boolean) {
    this.#circuit = circuit;
    this.#serves = serves;
    this.channel = new Channel({ address: () => this.#address });
  }

  /** Starts one that ends with the test. @param serves false: without the services. */
  static async start(circuit: TestCircuit, { serves = true } = {}): Promise<TestProofs> {
    const proofs = new TestProofs(circuit, serves);
    await proofs.#listen(0);
    onTestFinished(() => proofs[Symbol.asyncDispose]());
    return proofs;
  }

  /** Makes the proof of a row of a job. */
  prove(row: number, job = this.jobs.at(-1)!): void {
    const name = `workspaces/default/proofs/${job.value.name.split("/").at(-1)}-${row}`;
    const { inferenceId, circuit, modelVersion } = job.value;
    job.proofs.push(create(ProofSchema, { name, row, inferenceId, circuit, modelVersion }));
    job.value.rows[row]!.proof = name;
    job.value.rowsDone += 1;
    if (job.value.rowsDone === job.value.rows.length) {
      job.value.state = State.SUCCEEDED;
    }
    wakeAll(job);
  }

  /** Ends a job without its proofs. */
  fail(job = this.jobs.at(-1)!): void {
    job.value.state = State.FAILED;
    wakeAll(job);
  }

  /** Breaks every connection; nobody answers until `comeBack`. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Listens again where it did. */
  async comeBack(): Promise<void> {
    await this.#listen(Number(this.#address.split(":")[1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel[Symbol.dispose]();
    await this.stop();
  }

  async #listen(port: number): Promise<void> {
    this.#server = await startRpcServer({
      host: "127.0.0.1",
      port,
      bindings: this.#serves ? this.#bindings() : [],
      authenticate: () => anonymous,
    });
    this.#address = this.#server.address;
  }

  #bindings(): ServiceBinding[] {
    const proveInference = async (request: ProveInferenceRequest) => {
      this.asked.push(request);
      await this.gate;
      return this.#prove(request).value;
    };
    const getCircuit = async ({ name }: { readonly name: string }) => {
      this.#check();
      return { name, options: { context: this.hasContext } };
    };
    const watchProof = ({ name }: { readonly name: string }, context: CallContext) =>
      this.#watch(name, context);
    return [
      { service: ProofService, handlers: { proveInference, watchProof }, codecs: {} },
      { service: CircuitService, handlers: { getCircuit }, codecs: {} },
    ];
  }

  #prove(request: ProveInferenceRequest): Job {
    this.#check();
    const replayed = this.#requests.get(request.requestId);
    if (replayed !== undefined) {
      return replayed;
    }
    const rows = Array.from({ length: request.rows }, (_, row) => {
      const inputs = request.inputs.map(({ name, doubles }) => {
        const width = doubles.length / request.rows;
        return [name, doubles.slice(row * width, (row + 1) * width)] as const;
      });
      return { output: this.#circuit(Object.fromEntries(inputs), row) };
    });
    const { circuit, inferenceId, deployment } = request;
    const value = create(ProofJobSchema, {
      name: `workspaces/default/proofJobs/${this.jobs.length + 1}`,
      state: State.QUEUED,
      circuit: circuit.replace(/active$/, "c1"),
      inferenceId,
      deployment,
      rows,
    });
    const job: Job = { value, proofs: [], watchers: new Set() };
    this.jobs.push(job);
    if (request.requestId !== "") {
      this.#requests.set(request.requestId, job);
    }
    return job;
  }

  async *#watch(name: string, { signal }: CallContext) {
    this.#check();
    if (this.watchFailure !== undefined) {
      this.watchesRefused += 1;
      throw this.watchFailure;
    }
    const job = this.jobs.find(({ value }) => value.name === name);
    if (job === undefined) {
      throw new NotFound(`No ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
    }
    this.watching += 1;
    let told = 0;
    let changed = Promise.withResolvers<void>();
    const wake = (): void => changed.resolve();
    job.watchers.add(wake);
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        const proofs = job.proofs.slice(told);
        told += proofs.length;
        yield { proofJob: job.value, proofs };
        if (job.value.state !== State.QUEUED) {
          return;
        }
        await changed.promise;
        changed = Promise.withResolvers<void>();
      }
    } finally {
      this.watching -= 1;
      job.watchers.delete(wake);
    }
  }

  #check(): void {
    if (this.failure !== undefined) {
      throw this.failure;
    }
  }
}

function wakeAll({ watchers }: Job): void {
  for (const wake of watchers) {
    wake();
  }
}
