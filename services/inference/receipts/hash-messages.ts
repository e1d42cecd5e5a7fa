// What the serving thread and the thread that hashes say to each other.

/** A version of which receipts will come. */
export interface VersionCommand {
  readonly kind: "version";
  /** By which the other commands mean it. */
  readonly version: number;
  /** The fields of a LogReceiptsRequest that all of its batches begin with, encoded. */
  readonly head: Uint8Array;
}

/** Inferences to be hashed, and whether their version's batch is full. Answered once. */
export interface HashCommand {
  readonly kind: "hash";
  readonly version: number;
  /** Of the chunk; given away, and given back with the answer. Absent: none came. */
  readonly memory?: ArrayBuffer;
  /** Bytes of it that are written. */
  readonly length: number;
  /**
   * The number of the batch that ends with this chunk; 0: it goes on.
   */
  readonly sequence: number;
}

/** Nothing more comes of it. */
export interface ForgetCommand {
  readonly kind: "forget";
  readonly version: number;
}

export type HashThreadCommand = VersionCommand | HashCommand | ForgetCommand;

/** The answer to a HashCommand, in their order. */
export interface HashReply {
  readonly memory?: ArrayBuffer;
  /** A LogReceiptsRequest, where the batch was full. */
  readonly bytes?: Uint8Array;
}
