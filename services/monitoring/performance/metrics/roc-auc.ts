// The area under the receiver operating characteristic, exactly: the share of pairs of a positive
// and a negative row where the positive one has the higher score, ties counted half (Mann-Whitney).

/** Undefined where one side has no rows. Both arrays are sorted in place; none of them has NaN. */
export function rocAuc(positives: Float32Array, negatives: Float32Array): number | undefined {
  if (positives.length === 0 || negatives.length === 0) {
    return undefined;
  }
  positives.sort();
  negatives.sort();
  let wins = 0;
  let below = 0;
  let notAbove = 0;
  for (const score of positives) {
    while (below < negatives.length && negatives[below]! < score) {
      below += 1;
    }
    notAbove = Math.max(notAbove, below);
    while (notAbove < negatives.length && negatives[notAbove]! <= score) {
      notAbove += 1;
    }
    // Halves of counts below 2^53: exact.
    wins += (below + notAbove) / 2;
  }
  return wins / (positives.length * negatives.length);
}
