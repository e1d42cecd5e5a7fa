// The part of the WebAssembly interface that is used here: it is declared with the types of
// browsers alone, which this project does not take in.

declare namespace WebAssembly {
  /** Compiled code; can be sent to threads. */
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }

  class Memory {
    constructor(limits: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
    /** Takes so many pages more; gives how many there were. Views of the old buffer are void. */
    grow(pages: number): number;
  }

  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, Memory>>);
    readonly exports: Record<string, unknown>;
  }

  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
}
