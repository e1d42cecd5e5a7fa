// Which of a deployment's versions answers a request. Pure.
//
// With a routing key: weighted rendezvous hashing. Each target draws a number from the hash of key
// and target, stretched by its weight; the highest wins. A target's draw depends on nothing but
// itself, so when weights change, the only keys that move are those a grown target wins or a shrunk
// one loses: the least possible. (An interval per target is one hash cheaper but moves keys between
// targets whose weights stayed.) Without a key: a draw in proportion to the weights.

export interface RoutingTarget {
  readonly weight: number;
  /** Only ready targets are chosen; the traffic of the others goes to them in proportion. */
  readonly ready: boolean;
  /** From `targetSeed`. */
  readonly seed: number;
}

/** What makes a target's draws its own: hash of the deployment's and the version's name. */
export function targetSeed(deployment: string, modelVersion: string): number {
  return textHash(modelVersion, textHash(deployment, 0x811c9dc5));
}

/**
 * Index of the target that answers, or -1 when no target with a weight is ready.
 * @param random in [0, 1); used when there is no key.
 */
export function chooseTarget(
  targets: readonly RoutingTarget[],
  routingKey: string | undefined,
  random: () => number,
): number {
  return routingKey === undefined
    ? chooseAtRandom(targets, random)
    : chooseByKey(targets, routingKey);
}

function chooseAtRandom(targets: readonly RoutingTarget[], random: () => number): number {
  let total = 0;
  let last = -1;
  let candidates = 0;
  for (let index = 0; index < targets.length; index += 1) {
    const target = targets[index]!;
    if (target.ready && target.weight > 0) {
      total += target.weight;
      last = index;
      candidates += 1;
    }
  }
  if (candidates <= 1) {
    return last;
  }
  let left = random() * total;
  for (let index = 0; index < last; index += 1) {
    const target = targets[index]!;
    if (target.ready && target.weight > 0) {
      left -= target.weight;
      if (left < 0) {
        return index;
      }
    }
  }
  return last;
}

function chooseByKey(targets: readonly RoutingTarget[], routingKey: string): number {
  let best = -1;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < targets.length; index += 1) {
    const target = targets[index]!;
    if (target.ready && target.weight > 0) {
      // ln(u) / weight for u uniform in (0, 1): the greatest belongs to a target with
      // probability weight / sum of weights (exponential races).
      const uniform = (textHash(routingKey, target.seed) + 0.5) / 0x1_0000_0000;
      const score = Math.log(uniform) / target.weight;
      if (score > bestScore) {
        best = index;
        bestScore = score;
      }
    }
  }
  return best;
}

/** FNV-1a over UTF-16 units, finished as in MurmurHash3 so that near keys part; 32 bits. */
export function textHash(text: string, seed: number): number {
  let h = seed;
  for (let index = 0; index < text.length; index += 1) {
    h = Math.imul(h ^ text.charCodeAt(index), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
