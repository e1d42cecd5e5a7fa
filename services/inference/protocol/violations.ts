// Collects everything that is wrong with a request, so that its sender hears all of it at once.

import type { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type FieldViolation, InvalidArgument } from "../../common/errors/domain-error.ts";

/** More than this are counted, not listed: one broken column of 1000 rows is one problem. */
const VIOLATIONS_MAX = 20;
/** Of those, so many stand in the message itself. */
const MESSAGE_VIOLATIONS_MAX = 5;
/** Names from a request are cut here when they are quoted. */
const QUOTE_MAX = 100;
/** Dimensions of a shape that are shown. */
const DIMENSIONS_MAX = 12;

/** What was found so far. */
export class Violations {
  readonly #found: FieldViolation[] = [];
  #count = 0;

  /**
   * `field` in the request's own terms; `description` is a whole statement that names the field
   * too.
   */
  add(field: string, description: string): void {
    this.#count += 1;
    if (this.#found.length < VIOLATIONS_MAX) {
      this.#found.push({ field, description });
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Whether looking further would add nothing to the list. */
  get full(): boolean {
    return this.#count >= VIOLATIONS_MAX;
  }

  /** @throws InvalidArgument when anything was found. */
  throwIfAny(reason: ErrorReason): void {
    if (this.#count === 0) {
      return;
    }
    const texts = this.#found.slice(0, MESSAGE_VIOLATIONS_MAX).map((v) => v.description);
    const more = this.#count - texts.length;
    const message = `${texts.join("; ")}${more > 0 ? `; and ${more} more` : ""}.`;
    throw new InvalidArgument(message, { reason, violations: this.#found });
  }
}

/** Text of a request in quotes, cut to a bearable length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > QUOTE_MAX ? `${text.slice(0, QUOTE_MAX)}…` : text);
}

/** A shape as `[-1,30]`. */
export function showShape(shape: readonly number[]): string {
  const shown = shape.slice(0, DIMENSIONS_MAX).join(",");
  return shape.length > DIMENSIONS_MAX ? `[${shown},…]` : `[${shown}]`;
}

/** Names as `"a", "b"`, cut after a few. */
export function quoteAll(names: readonly string[]): string {
  const shown = names.slice(0, DIMENSIONS_MAX).map(quote).join(", ");
  return names.length > DIMENSIONS_MAX ? `${shown}, …` : shown;
}
