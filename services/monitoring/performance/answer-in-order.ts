// Answers a stream message by message, in order, with some messages under way at once.

/**
 * The answers of `work`, in the order of the requests. A request is taken only while fewer than
 * `limit` are under way, which slows a sender that is too fast. After a failure no request is
 * taken; the answers before it are given, then it is thrown. Nothing is under way when the
 * iteration ends.
 */
export async function* answerInOrder<T, R>(
  requests: AsyncIterable<T>,
  limit: number,
  work: (request: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  const iterator = requests[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<T>> | undefined = iterator.next();
  next.catch(() => {});
  let failed = false;
  try {
    while (next !== undefined || underWay.length > 0) {
      const oldest = underWay[0];
      const isFull = underWay.length >= limit;
      const waitsForRequest = next !== undefined && !isFull && !failed;
      if (oldest !== undefined && (!waitsForRequest || (await isFirst(oldest, next!)))) {
        const answer = await oldest;
        underWay.shift();
        yield answer;
        continue;
      }
      if (next === undefined || failed) {
        return;
      }
      const result: IteratorResult<T> = await next;
      next = undefined;
      if (!result.done) {
        const answer = work(result.value);
        answer.catch(() => {
          failed = true;
        });
        underWay.push(answer);
        next = iterator.next();
        next.catch(() => {});
      }
    }
  } finally {
    await Promise.allSettled(underWay);
    // Not waited for: it may come only after the read that is under way, which the call's end ends.
    iterator.return?.().catch(() => {});
  }
}

/** Whether `a` settles before `b`. */
function isFirst(a: Promise<unknown>, b: Promise<unknown>): Promise<boolean> {
  return Promise.race([
    a.then(
      () => true,
      () => true,
    ),
    b.then(
      () => false,
      () => false,
    ),
  ]);
}
