// Collects what is wrong with a request, so that a caller learns of every fault at once.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { type FieldViolation, InvalidArgument } from "./errors/domain-error.ts";

/** Ids of resources that people name. */
export const RESOURCE_ID = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;
/** Ids of workspaces. */
export const WORKSPACE_ID = /^[a-z][a-z0-9-]{0,62}$/;

const REQUEST_ID_LENGTH_MAX = 64;
const DESCRIPTION_LENGTH_MAX = 10_000;
/** More than this says nothing that the first ones did not. */
const FAULTS_SHOWN = 20;

export interface MapLimits {
  readonly countMax: number;
  readonly keyLengthMax: number;
  readonly valueLengthMax: number;
}

/** Tags of any resource. */
export const TAG_LIMITS: MapLimits = { countMax: 64, keyLengthMax: 250, valueLengthMax: 5000 };
const METRIC_LIMITS = { countMax: 256, keyLengthMax: 250 };

export class RequestFaults {
  readonly #faults: FieldViolation[] = [];

  add(...faults: readonly FieldViolation[]): void {
    this.#faults.push(...faults);
  }

  /** Notes a fault unless the condition holds. */
  check(holds: boolean, field: string, description: string): void {
    if (!holds) {
      this.#faults.push({ field, description });
    }
  }

  /** Notes what a function found wrong; undefined is nothing. */
  note(field: string, description: string | undefined): void {
    this.check(description === undefined, field, description ?? "");
  }

  id(field: string, id: string, pattern: RegExp): void {
    this.check(pattern.test(id), field, `must match ${pattern.source.slice(1, -1)}`);
  }

  /** `of` is the generated enum: a value that it lacks was sent by who knows a newer API. */
  known(field: string, value: number, of: Readonly<Record<string, unknown>>): void {
    const holds = Object.hasOwn(of, value);
    this.check(holds, field, `is ${value}, which this server does not know`);
  }

  requestId(id: string): void {
    this.text("request_id", id, REQUEST_ID_LENGTH_MAX);
  }

  description(field: string, text: string): void {
    this.text(field, text, DESCRIPTION_LENGTH_MAX);
  }

  text(field: string, text: string, lengthMax: number): void {
    const length = [...text].length;
    this.check(length <= lengthMax, field, `has ${length} characters; at most ${lengthMax}`);
  }

  texts(field: string, map: Readonly<Record<string, string>>, limits: MapLimits): void {
    this.#keys(field, Object.keys(map), limits);
    for (const [key, value] of Object.entries(map)) {
      this.text(`${field}[${JSON.stringify(key.slice(0, 80))}]`, value, limits.valueLengthMax);
    }
  }

  metrics(field: string, map: Readonly<Record<string, number>>): void {
    this.#keys(field, Object.keys(map), METRIC_LIMITS);
    for (const [key, value] of Object.entries(map)) {
      const path = `${field}[${JSON.stringify(key.slice(0, 80))}]`;
      this.check(Number.isFinite(value), path, `is ${value}; a metric is a finite number`);
    }
  }

  /** @throws InvalidArgument with every fault noted, if there is one. */
  done(): void {
    if (this.#faults.length === 0) {
      return;
    }
    const shown = this.#faults.slice(0, FAULTS_SHOWN);
    const text = shown.map(({ field, description }) => `${field} ${description}`).join("; ");
    const rest = this.#faults.length - shown.length;
    throw new InvalidArgument(`${text}${rest > 0 ? `; and ${rest} more` : ""}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: shown,
    });
  }

  #keys(
    field: string,
    keys: readonly string[],
    limits: { readonly countMax: number; readonly keyLengthMax: number },
  ): void {
    const { countMax, keyLengthMax } = limits;
    this.check(keys.length <= countMax, field, `has ${keys.length} entries; at most ${countMax}`);
    for (const key of keys) {
      const fits = key !== "" && [...key].length <= keyLengthMax;
      this.check(fits, field, `has a key that is empty or longer than ${keyLengthMax}`);
    }
  }
}
