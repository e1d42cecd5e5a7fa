// 64 bits of an inference id for the index. Not cryptographic: whoever makes ids that collide only
// makes the search for them slower, since what is found is compared in full.

export const ID_HASH_BYTES = 8;

/** Odd constants of MurmurHash3's finalizer and of FNV. */
const MIX_A = 0x85ebca6b;
const MIX_B = 0xc2b2ae35;
const FNV_PRIME = 0x01000193;

/** Where an id's UTF-8 bytes stand. */
export interface IdPlace {
  readonly idStart: number;
  readonly idEnd: number;
}

/** Writes the hash of the id that stands in some bytes. */
export function writeIdHash(
  bytes: Uint8Array,
  { idStart, idEnd }: IdPlace,
  target: Buffer,
  offset: number,
): void {
  let high = 0x811c9dc5;
  let low = (idEnd - idStart) ^ MIX_A;
  for (let i = idStart; i < idEnd; i++) {
    const byte = bytes[i]!;
    high = Math.imul(high ^ byte, FNV_PRIME);
    low = Math.imul(low ^ byte, MIX_B);
    low ^= low >>> 13;
  }
  target.writeUInt32BE(mixed(high ^ Math.imul(low, FNV_PRIME)), offset);
  target.writeUInt32BE(mixed(low ^ Math.imul(high, MIX_A)), offset + 4);
}

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), MIX_A);
  hash = Math.imul(hash ^ (hash >>> 13), MIX_B);
  return (hash ^ (hash >>> 16)) >>> 0;
}
