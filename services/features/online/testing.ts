// For tests of the online store: views and rows without the words that do not matter here.

import type { DocumentStore } from "../../common/documents/port.ts";
import type { FeatureView, ViewVersion } from "../definitions/definitions.ts";
import type { Cells, Field, RowBatch, ValueType } from "../value.ts";
import type { OnlineDocument } from "./online-row.ts";

const CREATED = new Date("2026-01-01T00:00:00.000Z");

export type Types = Readonly<Record<string, ValueType>>;

export interface TestView {
  readonly view: string;
  readonly number?: number;
  readonly joinKeys: Types;
  readonly features: Types;
  readonly ttlUs?: number;
}

/** A version of a view whose uid is "uid-" and its id. */
export function testView(test: TestView): ViewVersion {
  const { view, number = 1, ttlUs = 0 } = test;
  const version: FeatureView = {
    number,
    createTime: CREATED,
    entities: ["entity"],
    joinKeys: fields(test.joinKeys).sort((a, b) => (a.name < b.name ? -1 : 1)),
    features: fields(test.features).map((field) => {
      return { ...field, description: "", defaultValue: null };
    }),
    ttlUs,
    source: {
      eventTimestampColumn: "event_timestamp",
      createdTimestampColumn: "",
      fieldMapping: [],
    },
    online: true,
    offline: true,
  };
  return { view, uid: `uid-${view}`, version };
}

/** Rows with one event time and one creation time each; absent: the event time. */
export function testRows(
  keys: Readonly<Record<string, Cells>>,
  features: Readonly<Record<string, Cells>>,
  eventUs: readonly number[],
  createdUs: readonly number[] = eventUs,
): RowBatch {
  return { rows: eventUs.length, keys, features, eventUs, createdUs };
}

/** Every online document, as it is stored. */
export async function storedDocuments(documents: DocumentStore): Promise<OnlineDocument[]> {
  const collection = await documents.collection<OnlineDocument>({
    name: "online_features",
    indexes: [],
  });
  const all: OnlineDocument[] = [];
  for await (const document of collection.find({})) all.push(document);
  return all;
}

function fields(types: Types): Field[] {
  return Object.entries(types).map(([name, type]) => ({ name, type }));
}
