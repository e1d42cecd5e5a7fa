import { describe, expect, it } from "vitest";
import { type QueueEntry, RequestQueue, SKIPPED_MAX } from "./queue.ts";

class Entry implements QueueEntry {
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  readonly priority: number;
  readonly deadlineMs: number;
  readonly batchKey: string;
  readonly alone: boolean;
  previous: this | undefined;
  next: this | undefined;
  queued = false;

  constructor(name: string, fields: Partial<Omit<Entry, "name">> = {}) {
    this.name = name;
    this.rows = fields.rows ?? 1;
    this.bytes = fields.bytes ?? 4;
    this.priority = fields.priority ?? 5;
    this.deadlineMs = fields.deadlineMs ?? 1000;
    this.batchKey = fields.batchKey ?? "";
    this.alone = fields.alone ?? false;
  }
}

function queueOf(...entries: readonly Entry[]): RequestQueue<Entry> {
  const queue = new RequestQueue<Entry>();
  for (const entry of entries) {
    queue.push(entry);
  }
  return queue;
}

function take(queue: RequestQueue<Entry>, maxRows: number, nowMs = 0): string {
  const batch: Entry[] = [];
  const expired: Entry[] = [];
  queue.nextBatch(nowMs, maxRows, batch, expired);
  const names = (entries: readonly Entry[]): string => entries.map((e) => e.name).join("");
  return expired.length === 0 ? names(batch) : `${names(batch)} expired ${names(expired)}`;
}

describe("queue", () => {
  const cases: readonly {
    readonly it: string;
    readonly entries: readonly Entry[];
    readonly maxRows: number;
    readonly batches: readonly string[];
  }[] = [
    {
      it: "keeps the order within a priority",
      entries: [new Entry("a"), new Entry("b"), new Entry("c")],
      maxRows: 2,
      batches: ["ab", "c", ""],
    },
    {
      it: "takes lower priority numbers first",
      entries: [
        new Entry("a", { priority: 9 }),
        new Entry("b", { priority: 0 }),
        new Entry("c", { priority: 5 }),
        new Entry("d", { priority: 0 }),
      ],
      maxRows: 3,
      batches: ["bdc", "a"],
    },
    {
      it: "puts only equal keys together and begins with the head",
      entries: [
        new Entry("a", { batchKey: "x" }),
        new Entry("b", { batchKey: "y" }),
        new Entry("c", { batchKey: "x" }),
        new Entry("d", { batchKey: "y" }),
      ],
      maxRows: 8,
      batches: ["ac", "bd"],
    },
    {
      it: "fills up with smaller requests past one that is too large to fit",
      entries: [
        new Entry("a", { rows: 3 }),
        new Entry("b", { rows: 4 }),
        new Entry("c", { rows: 1 }),
      ],
      maxRows: 4,
      batches: ["ac", "b"],
    },
    {
      it: "runs a request of more rows than the most by itself",
      entries: [new Entry("a", { rows: 9 }), new Entry("b"), new Entry("c", { rows: 20 })],
      maxRows: 4,
      batches: ["a", "b", "c"],
    },
    {
      it: "never adds to or joins one that runs alone",
      entries: [new Entry("a", { alone: true }), new Entry("b"), new Entry("c", { alone: true })],
      maxRows: 8,
      batches: ["a", "b", "c"],
    },
  ];
  for (const { it: name, entries, maxRows, batches } of cases) {
    it(name, () => {
      const queue = queueOf(...entries);
      expect(batches.map(() => take(queue, maxRows))).toEqual(batches);
      expect(queue.length).toBe(0);
      expect(queue.rows).toBe(0);
      expect(queue.bytes).toBe(0);
    });
  }

  it("drops expired entries on the way and not others", () => {
    const queue = queueOf(
      new Entry("a", { deadlineMs: 10 }),
      new Entry("b", { deadlineMs: 11 }),
      new Entry("c", { deadlineMs: 5 }),
    );
    expect(take(queue, 8, 10)).toBe("b expired ac");
  });

  it("frees the place of a removed entry at once, once", () => {
    const [a, b, c] = [new Entry("a"), new Entry("b"), new Entry("c")];
    const queue = queueOf(a, b, c);
    expect(queue.remove(b)).toBe(true);
    expect(queue.remove(b)).toBe(false);
    expect(queue.length).toBe(2);
    expect(take(queue, 8)).toBe("ac");
  });

  it("gives an entry that is put back to the next batch first", () => {
    const [a, b] = [new Entry("a"), new Entry("b")];
    const queue = queueOf(b);
    queue.pushFront(a);
    expect(queue.head).toBe(a);
    expect(take(queue, 1)).toBe("a");
  });

  it("refuses to hold one entry twice", () => {
    const a = new Entry("a");
    const queue = queueOf(a);
    expect(() => queue.push(a)).toThrow("already queued");
  });

  it("stops looking past many entries of other shapes", () => {
    const others = Array.from({ length: SKIPPED_MAX + 1 }, () => new Entry("o", { batchKey: "y" }));
    const queue = queueOf(new Entry("a"), ...others, new Entry("b"));
    expect(take(queue, 8)).toBe("a");
  });

  it("does what a plain sorted list would do", () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = randomFrom(seed);
      const queue = new RequestQueue<Entry>();
      let model: Entry[] = [];
      for (let step = 0; step < 300; step += 1) {
        const roll = random();
        if (roll < 0.6) {
          const entry = randomEntry(`${step} `, random);
          queue.push(entry);
          model.push(entry);
          model.sort((x, y) => x.priority - y.priority);
        } else if (roll < 0.75 && model.length > 0) {
          const entry = model[Math.floor(random() * model.length)]!;
          queue.remove(entry);
          model = model.filter((other) => other !== entry);
        } else {
          const expected = naiveBatch(model, step, 6);
          model = model.filter((entry) => !expected.all.includes(entry));
          expect(take(queue, 6, step)).toBe(expected.text);
        }
        expect(queue.length).toBe(model.length);
        expect(queue.rows).toBe(model.reduce((sum, entry) => sum + entry.rows, 0));
      }
    }
  });
});

function randomEntry(name: string, random: () => number): Entry {
  return new Entry(name, {
    priority: Math.floor(random() * 10),
    rows: 1 + Math.floor(random() * 8),
    deadlineMs: Math.floor(random() * 600),
    batchKey: random() < 0.5 ? "x" : "y",
    alone: random() < 0.1,
  });
}

function naiveBatch(
  sorted: readonly Entry[],
  nowMs: number,
  maxRows: number,
): { readonly text: string; readonly all: readonly Entry[] } {
  const batch: Entry[] = [];
  const expired: Entry[] = [];
  let rows = 0;
  for (const entry of sorted) {
    const head = batch[0];
    if (entry.deadlineMs <= nowMs) {
      expired.push(entry);
    } else if (
      head === undefined ||
      (!entry.alone && entry.batchKey === head.batchKey && rows + entry.rows <= maxRows)
    ) {
      batch.push(entry);
      rows += entry.rows;
      if (rows >= maxRows || entry.alone) {
        break;
      }
    }
  }
  const names = (entries: readonly Entry[]): string => entries.map((e) => e.name).join("");
  const text = names(batch) + (expired.length === 0 ? "" : ` expired ${names(expired)}`);
  return { text, all: [...batch, ...expired] };
}

/** A linear congruential generator: the same walk for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x1_0000_0000;
  };
}
