// For tests of pushes: a view of airports, and the stores that its rows go to.

import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PushFeaturesRequestSchema } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { openBlobStore } from "../../common/blobs/open.ts";
import { systemClock } from "../../common/clock.ts";
import { parseSettings } from "../../common/config.ts";
import { openDocumentStore } from "../../common/documents/open.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { type FeaturesConfig, featuresSettings } from "../config.ts";
import { DefinitionStore } from "../definitions/definition-store.ts";
import type { Feature, FeatureView, ViewVersion } from "../definitions/definitions.ts";
import { createEvents } from "../events.ts";
import { openOfflineEngine } from "../offline/engine.ts";
import { OfflineStore } from "../offline/offline-store.ts";
import { OnlineStore } from "../online/online-store.ts";
import type { ValueType } from "../value.ts";
import { CreationClock, type PushDeps } from "./push-batch.ts";

export const VIEW_NAME = "workspaces/default/featureViews/airports";

/** Join key `airport`, features delay DOUBLE, flights INT64, note STRING, open BOOL. */
export function airportView(change: Partial<FeatureView> = {}): ViewVersion {
  const version: FeatureView = {
    number: 1,
    createTime: new Date(0),
    entities: ["airport"],
    joinKeys: [{ name: "airport", type: "STRING" }],
    features: [
      feature("delay", "DOUBLE"),
      feature("flights", "INT64"),
      feature("note", "STRING"),
      feature("open", "BOOL"),
    ],
    ttlUs: 0,
    source: {
      eventTimestampColumn: "event_timestamp",
      createdTimestampColumn: "",
      fieldMapping: [],
    },
    online: true,
    offline: true,
    ...change,
  };
  return { view: "airports", uid: "uid-airports", version };
}

function feature(name: string, type: ValueType): Feature {
  return { name, type, description: "", defaultValue: null };
}

export interface PushParts extends PushDeps, AsyncDisposable {
  readonly offline: OfflineStore;
  readonly online: OnlineStore;
}

/** The stores over a folder, with the view defined. */
export async function openPushParts(
  folder: string,
  given: { readonly config?: Partial<FeaturesConfig>; readonly view?: ViewVersion } = {},
): Promise<PushParts> {
  const settings = {
    PLINTH_FEATURES_ENGINE_MEMORY_MAX: "512MiB",
    PLINTH_FEATURES_ENGINE_THREADS_MAX: "1",
    PLINTH_FEATURES_JOB_LEASE: "500ms",
  };
  const config = { ...parseSettings(settings, featuresSettings), ...given.config };
  const clock = systemClock;
  const scratchDir = join(folder, "scratch");
  const events = createEvents(createLogger({ service: "features", level: "off" }));
  const stack = new AsyncDisposableStack();
  const documents = stack.use(await openDocumentStore(`sqlite:${join(folder, "store.db")}`));
  const blobs = stack.use(await openBlobStore(`file:${join(folder, "blobs")}`));
  const engine = stack.use(openOfflineEngine({ config, scratchDir }));
  const definitions = stack.use(await DefinitionStore.open(documents, clock));
  const parts = { documents, blobs, engine, clock, config, events, scratchDir };
  const offline = stack.use(await OfflineStore.open(parts));
  const online = await OnlineStore.open(documents, { clock });
  await define(definitions, given.view ?? airportView());
  const creation = new CreationClock(clock);
  const dispose = () => stack.disposeAsync();
  return { definitions, offline, online, events, creation, [Symbol.asyncDispose]: dispose };
}

/** A request to push rows of the view. */
export function pushRequest(request: MessageInitShape<typeof PushFeaturesRequestSchema>) {
  return create(PushFeaturesRequestSchema, { featureView: VIEW_NAME, ...request });
}

async function define(definitions: DefinitionStore, view: ViewVersion): Promise<void> {
  const time = new Date(0);
  await definitions.change("default", (current) => {
    const about = { description: "", owner: "", tags: [] };
    const stamps = { createTime: time, updateTime: time, about, latestNumber: 1 };
    const airports = { uid: view.uid, ...stamps, versions: [view.version] };
    return { ...current, featureViews: { airports } };
  });
}
