import { describe, expect, it } from "vitest";
import {
  ERASURE_BEGIN,
  erasureStateOf,
  storedErasure,
  withErased,
  withPendingDone,
} from "./erasure-state.ts";

const VIEW = "workspaces/w/featureViews/v";

describe("erasure state", () => {
  it("counts a replacement once it was made, and kept reads not at all", () => {
    const pending = { uid: "u", viewName: VIEW, digests: ["d"], rows: 3, files: 1 };
    const begun = { ...ERASURE_BEGIN, pending };
    const done = withPendingDone(begun);
    expect(done).toMatchObject({ pending: null, views: { [VIEW]: { rows: 3, files: 1 } } });
    expect(withPendingDone(done)).toBe(done);
    expect(withErased(done, { viewName: VIEW, rows: 2, files: 2 }).views).toEqual({
      [VIEW]: { rows: 5, files: 3 },
    });
    const reads = withPendingDone({ ...ERASURE_BEGIN, pending: { ...pending, viewName: "" } });
    expect(reads).toEqual({ ...ERASURE_BEGIN, pending: null });
  });

  it("comes back from a checkpoint, and begins where there is none", () => {
    const state = withErased({ ...ERASURE_BEGIN, round: 2 }, { viewName: VIEW, rows: 1, files: 1 });
    expect(erasureStateOf(storedErasure(state))).toEqual(state);
    expect(erasureStateOf(null)).toBe(ERASURE_BEGIN);
  });
});
