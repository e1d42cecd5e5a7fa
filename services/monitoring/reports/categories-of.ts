// A category sketch as the drift measures take it.

import type { CategoricalDistribution } from "../drift/distribution.ts";
import type { CategorySketch } from "../sketch/category-sketch.ts";

/**
 * The counts of all categories that are known by name: of the vocabulary also those that did not
 * come, since their count is known to be 0; of the others those of the sample. What is left is
 * `other`.
 */
export function categoriesOf(sketch: CategorySketch): CategoricalDistribution {
  const counts = new Map<string, number>();
  sketch.layout.vocabulary.forEach((key, place) => {
    counts.set(key, sketch.counts[place]!);
  });
  let other = sketch.unseen;
  for (const { key, count } of sketch.kept) {
    counts.set(key, count);
    other -= count;
  }
  return { form: "categories", counts, other };
}
