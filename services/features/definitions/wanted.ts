// What an apply asks for, in the domain's terms: definitions as they are to be, checked each by
// itself, not yet against what there is.

import type { Field } from "../value.ts";
import type { About, BatchSource, Feature, OnDemandFeature } from "./definitions.ts";

/** Everything one apply asks for. */
export interface WantedDefinitions {
  readonly entities: readonly WantedEntity[];
  readonly featureViews: readonly WantedView[];
  readonly onDemandFeatureViews: readonly WantedOnDemandView[];
  readonly featureServices: readonly WantedService[];
}

interface Wanted {
  readonly id: string;
  readonly about: About;
}

/** An entity as it is to be. */
export interface WantedEntity extends Wanted {
  readonly joinKeys: readonly Field[];
}

/** A feature view as it is to be. */
export interface WantedView extends Wanted {
  readonly entities: readonly string[];
  readonly features: readonly Feature[];
  readonly ttlUs: number;
  readonly source: BatchSource;
  readonly online: boolean;
  readonly offline: boolean;
}

/** An on-demand feature view as it is to be. */
export interface WantedOnDemandView extends Wanted {
  readonly inputs: readonly Field[];
  readonly features: readonly OnDemandFeature[];
}

/** A feature service as it is to be; its projections are not pinned yet. */
export interface WantedService extends Wanted {
  readonly projections: readonly WantedProjection[];
  readonly loggingSampleRate: number;
}

/** Features of one view, as asked for. */
export interface WantedProjection {
  /** Id of a feature view or of an on-demand feature view. */
  readonly view: string;
  /** 0: the newest. */
  readonly version: number;
  /** Feature to output name; empty: all, by their own names. */
  readonly features: readonly (readonly [feature: string, output: string])[];
  /** Those that differ, sorted by join key. */
  readonly joinKeys: readonly (readonly [joinKey: string, column: string])[];
}

/** What an apply does to one definition. */
export interface DefinitionChange {
  readonly kind: "entities" | "featureViews" | "onDemandFeatureViews" | "featureServices";
  readonly id: string;
  readonly action: "create" | "update" | "unchanged";
  /** The version afterwards; 0 for entities. */
  readonly version: number;
  /** For people, one a line. */
  readonly differences: readonly string[];
}
