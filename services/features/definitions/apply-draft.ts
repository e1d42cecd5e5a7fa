// What the parts of an apply share.

import type { RequestFaults } from "../../common/request-faults.ts";
import type { Definitions } from "./definitions.ts";

/** Time and chance, from outside. */
export interface ApplyContext {
  readonly now: Date;
  readonly newUid: () => string;
}

/** An apply under way: the definitions as far as they are made, and what is wrong. */
export interface Draft {
  readonly current: Definitions;
  readonly context: ApplyContext;
  readonly faults: RequestFaults;
  next: Definitions;
}
