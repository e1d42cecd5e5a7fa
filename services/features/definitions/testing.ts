// For tests: definitions written as messages, applied without a store or a server.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ApplyDefinitionsRequestSchema } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { ValueType as TypeMessage } from "../../../gen/plinth/features/v1/value_pb.js";
import { DomainError } from "../../common/errors/domain-error.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { ValueType } from "../value.ts";
import { type Applied, applyDefinitions } from "./apply.ts";
import { fromApply } from "./convert-apply.ts";
import type { Definitions } from "./definitions.ts";
import { emptyDefinitions } from "./lookup.ts";

/** An apply as a caller writes it. */
export type Request = MessageInitShape<typeof ApplyDefinitionsRequestSchema>;

/** "name TYPE" as a field; texts after that are nothing. */
export function field(text: string): { readonly name: string; readonly valueType: TypeMessage } {
  const [name = "", type = ""] = text.split(" ");
  return { name, valueType: TypeMessage[type as ValueType] ?? TypeMessage.UNSPECIFIED };
}

export function fields(...texts: readonly string[]) {
  return texts.map(field);
}

export interface ApplyOptions {
  readonly workspace?: string;
  readonly now?: Date;
}

/** What an apply comes to; uids count from uid-1 in each call. @throws as the handler does */
export function applyTo(
  current: Definitions,
  request: Request,
  options: ApplyOptions = {},
): Applied {
  const faults = new RequestFaults();
  const message = create(ApplyDefinitionsRequestSchema, request);
  const wanted = fromApply(message, { workspace: options.workspace ?? current._id, faults });
  faults.done();
  let uids = 0;
  const newUid = () => {
    uids += 1;
    return `uid-${uids}`;
  };
  return applyDefinitions(current, wanted, { now: options.now ?? new Date(0), newUid });
}

/** The definitions after these applies, in workspace "w". */
export function defined(...requests: readonly Request[]): Definitions {
  return requests.reduce<Definitions>(
    (current, request) => applyTo(current, request).next,
    emptyDefinitions("w"),
  );
}

/** An entity of one join key. */
export const AIRPORT = { entities: [{ name: "airport", joinKeys: fields("airport STRING") }] };

export type View = NonNullable<Request["featureViews"]>[number];
export type Projections = NonNullable<
  NonNullable<Request["featureServices"]>[number]["projections"]
>;

/** A view of that entity, changed so. */
export function view(change: Partial<View> = {}): { readonly featureViews: View[] } {
  const base = {
    name: "delays",
    entities: ["airport"],
    features: fields("mean_delay DOUBLE", "flights INT32"),
  };
  return { featureViews: [{ ...base, ...change } as View] };
}

/** A feature service. */
export function service(projections: Projections, name = "model"): Request {
  return { featureServices: [{ name, projections }] };
}

/** What an apply is refused with. */
export function refusal(current: Definitions, request: Request): DomainError {
  try {
    applyTo(current, request);
  } catch (error) {
    if (error instanceof DomainError) {
      return error;
    }
    throw error;
  }
  throw new Error("the apply was not refused");
}

/** The lines of a plan. */
export function lines(current: Definitions, request: Request): readonly string[] {
  return applyTo(current, request).changes.flatMap(({ differences }) => differences);
}

/** Airports with their delays, and flights that take them twice. */
export const FLIGHTS: Request = {
  entities: [{ name: "airport", joinKeys: fields("airport STRING") }],
  featureViews: [
    {
      name: "airport_delays",
      entities: ["airport"],
      ttl: { seconds: 7n * 86_400n },
      features: [
        {
          ...field("mean_delay DOUBLE"),
          defaultValue: { kind: { case: "numberValue", value: 0.5 } },
        },
        field("flights INT32"),
      ],
    },
  ],
  onDemandFeatureViews: [
    {
      name: "route",
      inputs: fields("distance DOUBLE", "origin_delay DOUBLE", "departure TIMESTAMP"),
      features: [
        { ...field("hours DOUBLE"), expression: "distance / 800.0" },
        { ...field("delay_per_hour DOUBLE"), expression: "origin_delay / (distance / 800.0)" },
        { ...field("hour INT32"), expression: "departure.getHours()" },
      ],
    },
  ],
  featureServices: [
    {
      name: "flight_delay",
      projections: [
        {
          featureView: "airport_delays",
          features: [{ feature: "mean_delay", alias: "origin_delay" }],
          joinKeys: { airport: "origin" },
        },
        {
          featureView: "airport_delays",
          features: [{ feature: "mean_delay", alias: "destination_delay" }],
          joinKeys: { airport: "destination" },
        },
        { featureView: "route" },
      ],
    },
  ],
};
