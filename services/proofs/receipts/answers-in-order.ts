// Answers of a stream whose requests are worked on together: begun as they come, answered in their
// order, and no more of them under way than a window holds.

/**
 * The answers, one for each request. `begin` starts the work on one; what it throws, or rejects
 * with, ends the stream once all before it is answered, and nothing is begun after it.
 */
export async function* answersInOrder<Q, A>(
  requests: AsyncIterable<Q>,
  begin: (request: Q) => Promise<A>,
  underWayMax: number,
): AsyncGenerator<A> {
  const source = requests[Symbol.asyncIterator]();
  const underWay: Promise<A>[] = [];
  let hasFailed = false;
  let reading: Promise<IteratorResult<Q>> | undefined = source.next();
  try {
    while (reading !== undefined || underWay.length > 0) {
      const isFull = underWay.length >= underWayMax;
      const next = reading === undefined || isFull ? undefined : reading;
      const first = underWay[0];
      const came = await race(next, first);
      if (came === "answer") {
        underWay.shift();
        yield await first!;
      } else if (came.done || hasFailed) {
        reading = undefined;
      } else {
        const { value } = came;
        const work = (async () => begin(value))();
        // It is awaited in its turn.
        work.catch(() => {
          hasFailed = true;
        });
        underWay.push(work);
        reading = source.next();
      }
    }
  } finally {
    // What was begun is not left alone: a stream that ends has nothing going on behind it.
    await Promise.allSettled(underWay);
    reading?.catch(() => {});
  }
}

/** What is there first: a request, or that the first answer is settled. */
async function race<Q>(
  reading: Promise<IteratorResult<Q>> | undefined,
  first: Promise<unknown> | undefined,
): Promise<IteratorResult<Q> | "answer"> {
  const answered = first?.then(
    () => "answer" as const,
    () => "answer" as const,
  );
  if (reading === undefined) return answered ?? "answer";
  return answered === undefined ? reading : Promise.race([answered, reading]);
}
