// What a read of features comes to, whether it is an online read, a training set or a prediction:
// worked out once from a feature service (or a list of features) and the definitions, then used for
// every request. That training and serving share it is what keeps them alike.

import type { Cell, Field } from "../value.ts";
import type { OnDemandFeatureView, ViewVersion } from "./definitions.ts";

/** What to read and how to put it together. */
export interface ReadPlan {
  readonly workspace: string;
  /** `workspaces/w/featureServices/f/versions/2`; undefined for a list of features. */
  readonly featureService: string | undefined;
  /** 0 for a list of features. */
  readonly loggingSampleRate: number;
  /** What the caller gives: join keys first, then request data; names are unique. */
  readonly requestColumns: readonly Field[];
  /** How many of the request columns are join keys. */
  readonly keyColumns: number;
  /** The distinct entity keys of a row: a document is read for each. */
  readonly keys: readonly KeyPlan[];
  readonly views: readonly ViewRead[];
  readonly transforms: readonly Transform[];
  /** What the caller gets, in order. */
  readonly outputs: readonly Output[];
}

/** One entity key of a row: join keys sorted by name, each from a request column. */
export interface KeyPlan {
  readonly parts: readonly {
    readonly joinKey: string;
    /** Index in requestColumns. */
    readonly column: number;
  }[];
}

/** One view read by one entity key. */
export interface ViewRead {
  readonly source: ViewVersion;
  /** Index in keys. */
  readonly key: number;
}

/** An on-demand feature view and where its inputs come from, in the order of its inputs. */
export interface Transform {
  readonly view: string;
  readonly version: OnDemandFeatureView;
  readonly inputs: readonly (
    | { readonly from: "output"; readonly index: number }
    | { readonly from: "request"; readonly index: number }
  )[];
}

/** A feature as the caller gets it. */
export interface Output extends Field {
  /** Id of the view it is of, and that view's version. */
  readonly view: string;
  readonly viewVersion: number;
  /** What a model gets where it is missing. Null: nothing declared. */
  readonly defaultValue: Cell;
  readonly from:
    | {
        readonly kind: "view";
        /** Index in views. */
        readonly read: number;
        /** Index in the features of that view's version. */
        readonly feature: number;
      }
    | {
        readonly kind: "transform";
        /** Index in transforms; its inputs come from earlier outputs only. */
        readonly transform: number;
        readonly feature: number;
      };
}
