// A view as the offline store knows it: which history its rows are, and the columns they have.

import type { ViewVersion } from "../definitions/definitions.ts";
import type { Shape } from "./engine-tasks.ts";
import type { History } from "./history.ts";

/** The history of a view: of all its versions. */
export function historyOf(workspace: string, { uid, view }: ViewVersion): History {
  return { uid, workspace, view };
}

/** The columns of a view's rows, as the version has them. */
export function shapeOf({ version }: ViewVersion): Shape {
  const features = version.features.map(({ name, type }) => ({ name, type }));
  return { joinKeys: version.joinKeys.map(({ name, type }) => ({ name, type })), features };
}
