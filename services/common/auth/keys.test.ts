import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { useStore } from "../documents/testing.ts";
import { InvalidArgument, NotFound, PermissionDenied } from "../errors/domain-error.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { keyIdOf, newKeyId, newKeySecret, secretHash } from "./key-secret.ts";
import { ApiKeys, isUsable, principalOf, requireMayMakeKey } from "./keys.ts";
import { anonymous } from "./principal.ts";

async function useKeys() {
  const clock = new FakeClock();
  const store = await useStore();
  return { clock, store, keys: await ApiKeys.open(store, clock) };
}

const editor = { workspace: "w", displayName: "ci", roles: [Role.EDITOR] };

describe("api-keys", () => {
  it("makes a key whose secret is shown once and hashed at rest", async () => {
    const { keys, store } = await useKeys();
    const { record, secret } = await keys.create(editor);
    expect(secret).toMatch(/^plk_[0-9a-z]{16}_[0-9A-Za-z]{49}$/);
    expect(keyIdOf(secret)).toBe(record.id);
    const documents = await store.collection<{ _id: string }>({ name: "api_keys", indexes: [] });
    const stored = await documents.findOne({ _id: record.id });
    expect(JSON.stringify(stored)).not.toContain(secret.slice(21, 64));
    expect(stored).toMatchObject({ secretHash: secretHash(secret), workspace: "w" });
    expect(await keys.lookup(record.id)).toEqual(record);
    expect(principalOf(record)).toEqual({
      id: `workspaces/w/apiKeys/${record.id}`,
      workspace: "w",
      roles: [Role.EDITOR],
    });
  });

  it("makes secrets that differ, and ids that sort by creation", () => {
    expect(newKeySecret("0".repeat(16))).not.toBe(newKeySecret("0".repeat(16)));
    const ids = [999, 1000, Date.UTC(2026, 0, 1), Date.UTC(2150, 0, 1)].map(newKeyId);
    expect([...ids].sort()).toEqual(ids);
  });

  it("refuses a secret with one character changed, missing or added", () => {
    const secret = newKeySecret(newKeyId(0));
    const at = 30;
    const changed = secret.slice(0, at) + (secret[at] === "a" ? "b" : "a") + secret.slice(at + 1);
    expect(keyIdOf(secret)).toBeDefined();
    expect([changed, secret.slice(0, -1), `${secret}0`, ""].map(keyIdOf)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("reports every violation of a new key at once", async () => {
    const { keys, clock } = await useKeys();
    const bad = {
      workspace: "w",
      displayName: "x".repeat(201),
      roles: [Role.VIEWER, Role.SERVICE, 99 as Role],
      expireTime: new Date(clock.now()),
    };
    const error: unknown = await keys.create(bad).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect((error as InvalidArgument).violations.map((v) => v.field)).toEqual([
      "api_key.display_name",
      "api_key.roles[1]",
      "api_key.roles[2]",
      "api_key.expire_time",
    ]);
    await expect(keys.create({ ...editor, roles: [] })).rejects.toThrow("at least one role");
    expect(await keys.everMade()).toBe(false);
  });

  it("lists one workspace's keys by creation, page by page, revoked ones too", async () => {
    const { keys, clock } = await useKeys();
    const ids: string[] = [];
    for (let made = 0; made < 5; made += 1) {
      clock.advance(1);
      ids.push((await keys.create(editor)).record.id);
      await keys.create({ ...editor, workspace: "other" });
    }
    await keys.revoke({ workspace: "w", id: ids[0]! });
    const first = await keys.list({ workspace: "w", limit: 3 });
    const second = await keys.list({ workspace: "w", limit: 3, after: first.at(-1)!.id });
    expect(first.map((key) => key.id)).toEqual(ids.slice(0, 3));
    expect(second.map((key) => key.id)).toEqual(ids.slice(3));
    expect(first[0]!.revokeTime).toEqual(new Date(clock.now()));
  });

  it("revokes once, repeatably, and only within the workspace", async () => {
    const { keys, clock } = await useKeys();
    const { record } = await keys.create(editor);
    await expect(keys.revoke({ workspace: "other", id: record.id })).rejects.toThrow(NotFound);
    expect(await keys.any()).toBe(true);
    const both = await Promise.all(
      [1, 2].map(() => keys.revoke({ workspace: "w", id: record.id })),
    );
    expect(both[0]).toEqual(both[1]);
    const revokedMs = clock.now();
    clock.advance(60_000);
    const again = await keys.revoke({ workspace: "w", id: record.id });
    expect(again.revokeTime?.getTime()).toBe(revokedMs);
    expect(isUsable(again, revokedMs)).toBe(false);
  });

  it("tells usable keys from keys ever made", async () => {
    const { keys, clock } = await useKeys();
    expect([await keys.any(), await keys.everMade()]).toEqual([false, false]);
    await keys.create({ ...editor, expireTime: new Date(clock.now() + 1000) });
    expect([await keys.any(), await keys.everMade()]).toEqual([true, true]);
    clock.advance(1000);
    expect([await keys.any(), await keys.everMade()]).toEqual([false, true]);
    const { record } = await keys.create(editor);
    expect(await keys.any()).toBe(true);
    await keys.revoke({ workspace: "w", id: record.id });
    expect([await keys.any(), await keys.everMade()]).toEqual([false, true]);
  });

  it.each([
    ["-", "-", true],
    ["-", "w", true],
    ["w", "w", true],
    ["w", "-", false],
    ["w", "v", false],
  ])("a caller of %s may make a key for %s: %s", (caller, workspace, allowed) => {
    const make = () => requireMayMakeKey({ ...anonymous, workspace: caller }, workspace);
    allowed ? expect(make).not.toThrow() : expect(make).toThrow(PermissionDenied);
  });
});
