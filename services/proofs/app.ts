// Puts the proofs service together from its stores; the mesh and the tests all start it here.

import { CircuitService } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofService } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import { Reachability } from "../common/documents/reachability.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import type { Channel } from "../common/rpc/client.ts";
import { bindService } from "../common/rpc/context.ts";
import { createLogger, type Logger } from "../common/telemetry/log.ts";
import { ceremonyHandlers } from "./ceremony/ceremony-handlers.ts";
import { ceremony } from "./ceremony/close-ceremony.ts";
import { PowersOfTauStore } from "./ceremony/powers-of-tau-store.ts";
import { BlobClaims } from "./circuits/blob-claims.ts";
import { CircuitFiles } from "./circuits/circuit-files.ts";
import { circuitHandlers } from "./circuits/circuit-handlers.ts";
import { CircuitMaker } from "./circuits/circuit-maker.ts";
import { CircuitStore } from "./circuits/circuit-store.ts";
import { CircuitReports } from "./circuits/report-circuits.ts";
import { BlobSweeper } from "./circuits/sweep-blobs.ts";
import type { ProofsConfig } from "./config.ts";
import { createEvents } from "./events.ts";
import { openBuiltinProver } from "./prover/builtin-driver.ts";
import type { Prover } from "./prover/prover-port.ts";
import { openRapidsnarkProver } from "./prover/rapidsnark-driver.ts";
import { openProving } from "./proving/proving.ts";
import { provingCodecs } from "./proving/watch-message.ts";
import { receiptCodecs, receiptHandlers } from "./receipts/receipt-handlers.ts";
import { ReceiptLogs } from "./receipts/receipt-logs.ts";
import { openWorkshop } from "./workshop/workshop.ts";

export interface CreateProofsDeps {
  readonly config: ProofsConfig;
  readonly documents: DocumentStore;
  /** For circuits, keys and proofs of this service alone. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** For files on their way; nothing in it outlives the process. */
  readonly scratchDir: string;
  /** Where the keys are that sign receipts, or will be. */
  readonly receiptKeysDir: string;
  /** To the registry, with the credential of a service; absent: not known here. */
  readonly registry: Channel | undefined;
  /** Absent: nothing is logged. */
  readonly log?: Logger;
}

/**
 * A proofs service over these stores, which stay the caller's to close. It serves calls at once;
 * circuits and proofs are made from `start` on. The processes that do it start with the first one.
 */
export async function createProofs(given: CreateProofsDeps): Promise<ServiceModule> {
  await using stack = new AsyncDisposableStack();
  const deps = await openParts(given, stack);
  const { claims, circuits, ptaus, events } = deps;
  const proving = stack.use(await openProving(deps));
  const circuitDeps = {
    ...deps,
    powersOfTau: ptaus,
    ceremony: ceremony(deps),
    newestProof: proving.newestProof,
    waitingRows: proving.waitingRows,
  };
  const maker = stack.use(new CircuitMaker(circuitDeps));
  const reports = stack.use(await CircuitReports.open(deps));
  const sweeper = stack.use(
    new BlobSweeper({
      ...deps,
      claims,
      references: [circuits, ptaus, proving].map((store) => () => store.referencedDigests()),
    }),
  );
  const logs = stack.use(await ReceiptLogs.open({ ...deps, keyFolder: given.receiptKeysDir }));
  const reachability = stack.use(new Reachability(given.documents));
  const stopping = new AbortController();
  const owned = stack.move();
  return {
    name: "proofs",
    bindings: [
      bindService(CircuitService, {
        ...circuitHandlers(circuitDeps, stopping.signal),
        ...ceremonyHandlers(deps),
      }),
      bindService(ProofService, proving.handlers, provingCodecs),
      bindService(ReceiptService, receiptHandlers({ logs, events }), receiptCodecs),
    ],
    async start() {
      reachability.start();
      maker.start();
      proving.start();
      reports.start();
      sweeper.start();
    },
    ready: () => reachability.isReachable,
    async drain() {
      stopping.abort();
      await Promise.all([maker.drain(), proving.drain()]);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await owned.disposeAsync();
    },
  };
}

async function openParts(given: CreateProofsDeps, stack: AsyncDisposableStack) {
  const { config, documents, blobs, clock, scratchDir, registry } = given;
  const events = createEvents(given.log ?? createLogger({ service: "proofs", level: "off" }));
  const claims = await BlobClaims.open(documents, clock);
  const circuits = await CircuitStore.open(documents, { clock });
  const ptaus = await PowersOfTauStore.open(documents, { blobs, clock });
  const files = new CircuitFiles({ blobs, scratchDir, claims });
  const { compileMemoryMax, compileTimeoutMs } = config;
  const workshop = stack.use(openWorkshop({ memoryBytesMax: compileMemoryMax, compileTimeoutMs }));
  const prover = stack.use(openProver(config, scratchDir));
  return {
    config,
    documents,
    blobs,
    clock,
    scratchDir,
    registry,
    events,
    claims,
    circuits,
    ptaus,
    files,
    workshop,
    prover,
  };
}

function openProver(config: ProofsConfig, scratchDir: string): Prover {
  const { proveTimeoutMs, setupTimeoutMs, proverMemoryMax, rapidsnark } = config;
  const limits = {
    proveTimeoutMs,
    setupTimeoutMs,
    ...(proverMemoryMax === undefined ? {} : { memoryBytesMax: proverMemoryMax }),
  };
  return rapidsnark === undefined
    ? openBuiltinProver(limits)
    : openRapidsnarkProver({ ...limits, binary: rapidsnark, scratchDir });
}
