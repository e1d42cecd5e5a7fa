// The columns of views and services, with their types: what a command must know before it can send
// values, which people write without types.

import type { FeatureView } from "../../gen/plinth/features/v1/feature_view_pb.js";
import type { Field } from "../../gen/plinth/features/v1/value_pb.js";
import { NotFound } from "../common/errors/domain-error.ts";
import { UsageError } from "./exit-codes.ts";
import { fullName } from "./features-names.ts";
import type { Session } from "./session.ts";

/** A named and typed column. */
export type Typed = Pick<Field, "name" | "valueType">;

/** A view with what names its rows. */
export interface ViewShape {
  readonly view: FeatureView;
  /** The join keys of its entities. */
  readonly keys: readonly Typed[];
}

/** The newest version of a view, or the one in its name. */
export async function viewShape(session: Session, text: string): Promise<ViewShape> {
  const name = fullName("view", text, session.workspace);
  const view = await session.features.getFeatureView({ name }, session.call);
  return { view, keys: await keysOf(session, view) };
}

/** What a list of `view:feature` is asked with, and the view of each result. */
export interface ReferenceShape {
  readonly columns: readonly Typed[];
  readonly views: readonly string[];
}

/** @throws UsageError for a reference of another form. */
export async function referenceShape(
  session: Session,
  references: readonly string[],
): Promise<ReferenceShape> {
  const columns = new Map<string, Typed>();
  const given = new Set<string>();
  const views: string[] = [];
  const inputs: Typed[] = [];
  const shapes = new Map<string, SomeView>();
  for (const text of references) {
    const parts = /^([^:]+):([^:]+)$/.exec(text);
    if (parts === null) {
      throw new UsageError(`A feature is named view:feature, or view:* for all; got "${text}".`);
    }
    const [, id = "", feature = ""] = parts;
    const shape = shapes.get(id) ?? (await anyView(session, id));
    shapes.set(id, shape);
    const features = feature === "*" ? shape.features : [feature];
    views.push(...features.map(() => id));
    inputs.push(...shape.inputs);
    for (const key of shape.keys) {
      columns.set(key.name, key);
    }
    for (const name of features) {
      given.add(name);
    }
  }
  // What no feature of the list gives is request data.
  for (const input of inputs.filter(({ name }) => !given.has(name))) {
    columns.set(input.name, input);
  }
  return { columns: [...columns.values()], views };
}

/** A feature view or an on-demand one; the one has keys, the other inputs. */
interface SomeView {
  readonly keys: readonly Typed[];
  readonly inputs: readonly Typed[];
  readonly features: readonly string[];
}

/** Whether a feature view or an on-demand one has the id. */
export async function isView(session: Session, id: string): Promise<boolean> {
  return anyView(session, id).then(
    () => true,
    () => false,
  );
}

async function anyView(session: Session, id: string): Promise<SomeView> {
  try {
    const { view, keys } = await viewShape(session, id);
    return { keys, inputs: [], features: view.features.map(({ name }) => name) };
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
    const name = fullName("on-demand", id, session.workspace);
    const found = await session.features
      .getOnDemandFeatureView({ name }, session.call)
      .catch(() => undefined);
    if (found === undefined) {
      throw error;
    }
    const features = found.features.map((feature) => feature.name);
    return { keys: [], inputs: found.inputs, features };
  }
}

async function keysOf(session: Session, view: FeatureView): Promise<readonly Typed[]> {
  const workspace = view.name.split("/").slice(0, 2).join("/");
  const entities = await Promise.all(
    view.entities.map((id) =>
      session.features.getEntity({ name: `${workspace}/entities/${id}` }, session.call),
    ),
  );
  return entities.flatMap((entity) => entity.joinKeys);
}
