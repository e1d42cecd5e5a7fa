// What an apply asks for, in the domain's terms: definitions as they are to be, checked each by
// itself, not yet against what there is.

import type { Field } from "../value.ts";
import type { About, BatchSource, Feature, OnDemandFeature } from "./definitions.ts";

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

export interface WantedEntity extends Wanted {
  readonly joinKeys: readonly Field[];
}

export interface WantedView extends Wanted {
  readonly entities: readonly string[];
  readonly features: readonly Feature[];
  readonly ttlUs: number;
  readonly source: BatchSource;
  readonly online: boolean;
  readonly offline: boolean;
}

export interface WantedOnDemandView extends Wanted {
  readonly inputs: readonly Field[];
  readonly features: readonly OnDemandFeature[];
}

export interface WantedService extends Wanted {
  readonly projections: readonly WantedProjection[];
  readonly loggingSampleRate: number;
}

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
