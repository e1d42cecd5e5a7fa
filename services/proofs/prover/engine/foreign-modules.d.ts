// The parts of snarkjs 0.7.6 and ffjavascript 0.3.1 that the prover's process uses; neither brings
// types of its own.

declare module "ffjavascript" {
  /** A point, 64 or 128 bytes: the coordinates in Montgomery form, lowest byte first. */
  export interface Group {
    readonly F: { readonly n8: number };
    readonly g: Uint8Array;
    timesScalar(point: Uint8Array, scalar: Uint8Array | bigint): Uint8Array;
    toAffine(point: Uint8Array): Uint8Array;
  }

  export type TaskStep =
    | { readonly cmd: "ALLOCSET"; readonly var: number; readonly buff: Uint8Array }
    | { readonly cmd: "ALLOC"; readonly var: number; readonly len: number }
    | {
        readonly cmd: "CALL";
        readonly fnName: string;
        readonly params: readonly ({ readonly var: number } | { readonly val: number })[];
      }
    | {
        readonly cmd: "GET";
        readonly out: number;
        readonly var: number;
        readonly len: number;
      };

  export interface ThreadManager {
    readonly concurrency: number;
    queueAction(task: readonly TaskStep[]): Promise<readonly Uint8Array[]>;
  }

  export interface Curve {
    readonly Fr: {
      fromRng(random: ChaCha): Uint8Array;
      toString(element: Uint8Array): string;
    };
    readonly G1: Group;
    readonly G2: Group;
    readonly tm: ThreadManager;
    terminate(): Promise<void>;
  }

  /** The generator of random numbers that contributions and beacons draw from. */
  export class ChaCha {
    constructor(seed: readonly number[]);
  }

  /** What builds the code of WebAssembly, as wasmbuilder has it: code is a list of bytes. */
  export type Code = readonly number[];

  export interface CodeBuilder {
    getLocal(name: string): Code;
    setLocal(name: string, value: Code): Code;
    i32_const(value: number): Code;
    i32_add(left: Code, right: Code): Code;
    i32_mul(left: Code, right: Code): Code;
    i32_eq(left: Code, right: Code): Code;
    i32_load16_u(address: Code): Code;
    if(condition: Code, body: Code): Code;
    block(body: Code): Code;
    loop(...body: Code[]): Code;
    br(depth: number): Code;
    br_if(depth: number, condition: Code): Code;
    call(name: string, ...parameters: Code[]): Code;
  }

  export interface FunctionBuilder {
    addParam(name: string, type: "i32"): void;
    addLocal(name: string, type: "i32"): void;
    addCode(...code: Code[]): void;
    getCodeBuilder(): CodeBuilder;
  }

  export interface ModuleBuilder {
    addFunction(name: string): FunctionBuilder;
    exportFunction(name: string): void;
  }

  export function buildBn128(
    singleThread: boolean,
    plugins?: (module: ModuleBuilder) => void,
  ): Promise<Curve>;
}

declare module "snarkjs" {
  export interface Logger {
    debug(text: string): void;
    info(text: string): void;
    warn(text: string): void;
    error(text: string): void;
  }

  export interface RawProof {
    readonly proof: Readonly<Record<string, unknown>>;
    readonly publicSignals: readonly string[];
  }

  /** In the place of a file's path. */
  export interface MemoryFile {
    readonly type: "mem";
    readonly data: Uint8Array;
  }

  type ProveFunction = (
    zkey: string | MemoryFile,
    witness: string | MemoryFile,
    logger?: Logger,
  ) => Promise<RawProof>;

  export const groth16: { readonly prove: ProveFunction };

  export const plonk: {
    setup(r1cs: string, ptau: string, zkey: string, logger?: Logger): Promise<unknown>;
    readonly prove: ProveFunction;
    verify(
      verifyingKey: unknown,
      publicSignals: readonly string[],
      proof: unknown,
      logger?: Logger,
    ): Promise<boolean>;
  };

  export const zKey: {
    newZKey(r1cs: string, ptau: string, zkey: string, logger?: Logger): Promise<unknown>;
    verifyFromR1cs(r1cs: string, ptau: string, zkey: string, logger?: Logger): Promise<boolean>;
    contribute(
      from: string,
      to: string,
      name: string,
      entropy: string,
      logger?: Logger,
    ): Promise<unknown>;
    beacon(
      from: string,
      to: string,
      name: string,
      beaconHash: string,
      iterationsExponent: number,
      logger?: Logger,
    ): Promise<unknown>;
    exportVerificationKey(
      zkey: string,
      logger?: Logger,
    ): Promise<Readonly<Record<string, unknown>>>;
  };

  export const powersOfTau: {
    verify(ptau: string, logger?: Logger): Promise<boolean>;
    newAccumulator(curve: unknown, power: number, ptau: string): Promise<unknown>;
    contribute(from: string, to: string, name: string, entropy: string): Promise<unknown>;
    preparePhase2(from: string, to: string): Promise<unknown>;
  };
}
