import { chmodSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseSettings } from "./config.ts";
import { openPlatform, platformSettings } from "./platform.ts";
import { nullObserver } from "./rpc/null-observer.ts";
import { useFolder } from "./testing/use-folder.ts";

describe("the data folder", () => {
  it("is made for this user alone; one that is there keeps its mode, and so do folders above", async () => {
    const root = useFolder();
    const [made, there, other] = [join(root, "a", "b"), join(root, "there"), join(root, "other")];
    for (const path of [there, other]) {
      mkdirSync(path);
    }
    chmodSync(there, 0o750);
    for (const dataDir of [made, there]) {
      const config = { ...parseSettings({}, platformSettings), dataDir };
      await using _ = await openPlatform({ config, observer: nullObserver, otherHosts: [] });
    }
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([made, there].map(mode)).toEqual([0o700, 0o750]);
    expect(mode(join(root, "a"))).toBe(mode(other));
  });
});
