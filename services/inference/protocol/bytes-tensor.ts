// Strings of a BYTES tensor: from the raw form (a 32-bit little-endian length before each) and from
// bytes_contents. onnxruntime takes text, so bytes that are not UTF-8 are refused, never replaced;
// so is a NUL, at which its binding for Node ends the text (checked with onnxruntime-node 1.30).

import { isUtf8 } from "node:buffer";

const LENGTH_SIZE = 4;

/** The strings, or what is wrong with the bytes. */
export type StringsOrFault =
  | { readonly strings: string[]; readonly fault?: undefined }
  | { readonly fault: string };

/**
 * Reads `count` strings from raw contents. Nothing is allocated on the word of a length or a count.
 */
export function stringsFromRaw(raw: Uint8Array, count: number): StringsOrFault {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.length);
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const index = strings.length;
    if (index === count) {
      return {
        fault:
          `unexpected number of string elements: ${bytes.length - at} bytes are left after ` +
          `the ${count} elements that the shape needs`,
      };
    }
    if (bytes.length - at < LENGTH_SIZE) {
      return {
        fault:
          `incomplete string length indicator for element ${index}: ` +
          `${bytes.length - at} of 4 bytes are there`,
      };
    }
    const length = bytes.readUInt32LE(at);
    at += LENGTH_SIZE;
    if (length > bytes.length - at) {
      return {
        fault:
          `incomplete string data for element ${index}: its length says ${length} bytes, ` +
          `${bytes.length - at} are left`,
      };
    }
    const text = textOf(bytes.subarray(at, at + length));
    if (text === undefined) {
      return { fault: notText(index) };
    }
    strings.push(text);
    at += length;
  }
  if (strings.length !== count) {
    return {
      fault:
        `unexpected number of string elements: ${strings.length} came, ` +
        `the shape needs ${count}`,
    };
  }
  return { strings };
}

/** The strings of bytes_contents. */
export function stringsFromContents(contents: readonly Uint8Array[]): StringsOrFault {
  const strings: string[] = [];
  for (const [index, element] of contents.entries()) {
    const text = textOf(Buffer.from(element.buffer, element.byteOffset, element.length));
    if (text === undefined) {
      return { fault: notText(index) };
    }
    strings.push(text);
  }
  return { strings };
}

function textOf(bytes: Buffer): string | undefined {
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString("utf8") : undefined;
}

function notText(index: number): string {
  return (
    `element ${index} is not UTF-8 text without NUL, ` +
    "which is all that string tensors of a model carry"
  );
}
