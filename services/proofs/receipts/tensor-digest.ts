// The digests of a receipt on the server's fast path: small tensors in one call of SHA-256, with
// the header of a tensor that comes again and again, which is always, made once.

import { sha256, sha256Of } from "./node-hash.ts";
import { type RawTensor, tensorBytes } from "./tensor-bytes.ts";

/** Up to this copying is cheaper than a hash that is fed piece by piece. */
const COPIED_BYTES_MAX = 16_384;

/** Names of tensors of which the last form is kept; a server has some dozens. */
const FORMS_MAX = 256;

interface Form {
  readonly datatype: string;
  readonly shape: readonly number[];
  /** All that comes before the data of a single tensor of this form and of so many bytes. */
  readonly start: Uint8Array;
  readonly dataBytes: number;
}

/** Takes digests of tensors. */
export class TensorDigester {
  readonly #scratch = new Uint8Array(COPIED_BYTES_MAX);
  readonly #forms = new Map<string, Form>();

  /** The SHA-256 of what `tensorBytes` gives. @throws RangeError */
  digest(tensors: readonly RawTensor[]): Uint8Array {
    const [tensor, ...others] = tensors;
    if (tensor === undefined || others.length > 0) {
      return this.#digestPieces(tensors);
    }
    const { start } = this.#formOf(tensor);
    const length = start.length + tensor.data.length;
    if (length > COPIED_BYTES_MAX) {
      return sha256Of([start, tensor.data]);
    }
    this.#scratch.set(start);
    this.#scratch.set(tensor.data, start.length);
    return sha256(this.#scratch.subarray(0, length));
  }

  #digestPieces(tensors: readonly RawTensor[]): Uint8Array {
    const pieces = [...tensorBytes(tensors)];
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (length > COPIED_BYTES_MAX) {
      return sha256Of(pieces);
    }
    let offset = 0;
    for (const piece of pieces) {
      this.#scratch.set(piece, offset);
      offset += piece.length;
    }
    return sha256(this.#scratch.subarray(0, length));
  }

  #formOf(tensor: RawTensor): Form {
    const known = this.#forms.get(tensor.name);
    if (known !== undefined && hasForm(tensor, known)) {
      return known;
    }
    const [magic, header] = tensorBytes([tensor]);
    const form: Form = {
      datatype: tensor.datatype,
      shape: [...tensor.shape],
      start: Buffer.concat([magic!, header!]),
      dataBytes: tensor.data.length,
    };
    if (this.#forms.size >= FORMS_MAX) this.#forms.clear();
    this.#forms.set(tensor.name, form);
    return form;
  }
}

function hasForm({ datatype, shape, data }: RawTensor, form: Form): boolean {
  if (data.length !== form.dataBytes || datatype !== form.datatype) return false;
  if (shape.length !== form.shape.length) return false;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] !== form.shape[i]) return false;
  }
  return true;
}
