import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { useStore } from "../documents/testing.ts";
import { ResourceExhausted, Unauthenticated, Unavailable } from "../errors/domain-error.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { createAuthenticator, serviceAuthorization } from "./authenticator.ts";
import { keyIdOf, newKeyId, newKeySecret } from "./key-secret.ts";
import { ApiKeys, type KeySource } from "./keys.ts";
import { anonymous } from "./principal.ts";

const editor = { workspace: "w", displayName: "ci", roles: [Role.EDITOR] };
const admin = { workspace: "-", displayName: "root", roles: [Role.ADMIN] };

/** Two servers over one store: `here` makes and revokes keys, `there` only reads them. */
async function useServers(openAllowed = false) {
  const clock = new FakeClock();
  const store = await useStore();
  const serve = async () => {
    const keys = await ApiKeys.open(store, clock);
    const options = { keys, meshSecret: "s".repeat(32), clock, openAllowed };
    const auth = createAuthenticator(options);
    onTestFinished(() => auth[Symbol.dispose]());
    return { keys, auth };
  };
  return { clock, here: await serve(), there: await serve() };
}

async function refused(authenticate: () => unknown): Promise<string> {
  try {
    await authenticate();
  } catch (error) {
    expect(error).toBeInstanceOf(Unauthenticated);
    return (error as Error).message;
  }
  throw new Error("was let in");
}

function storeAway(): Unavailable {
  return new Unavailable("the document store is not available", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: 1000,
  });
}

describe("authenticator", () => {
  it("knows a key, the second time without a promise", async () => {
    const { here, there } = await useServers();
    const { record, secret } = await here.keys.create(editor);
    const principal = {
      id: `workspaces/w/apiKeys/${record.id}`,
      workspace: "w",
      roles: [Role.EDITOR],
    };
    for (const { auth } of [here, there]) {
      expect(auth.authenticate(`Bearer ${secret}`)).toBeInstanceOf(Promise);
      expect(await auth.authenticate(`bearer  ${secret}`)).toEqual(principal);
      expect(auth.authenticate(`Bearer ${secret}`)).toEqual(principal);
    }
  });

  it("refuses a revoked key at once here and after 5 seconds elsewhere", async () => {
    const { clock, here, there } = await useServers();
    const { record, secret } = await here.keys.create(editor);
    const header = `Bearer ${secret}`;
    await here.auth.authenticate(header);
    await there.auth.authenticate(header);
    clock.advance(100);
    await here.keys.revoke({ workspace: "w", id: record.id });
    expect(await refused(() => here.auth.authenticate(header))).toContain("revoked");
    clock.advance(4899);
    expect(there.auth.authenticate(header)).toMatchObject({ workspace: "w" });
    clock.advance(1);
    expect(await refused(() => there.auth.authenticate(header))).toContain("revoked");
  });

  it("does not remember a lookup that a revocation overtook", async () => {
    const { here } = await useServers();
    const { record, secret } = await here.keys.create(editor);
    const lookup = Promise.resolve(here.auth.authenticate(`Bearer ${secret}`)).catch(() => {});
    await here.keys.revoke({ workspace: "w", id: record.id });
    await lookup;
    await refused(() => here.auth.authenticate(`Bearer ${secret}`));
  });

  it("ends a key the moment it expires, though it is remembered", async () => {
    const { clock, here } = await useServers();
    const { secret } = await here.keys.create({
      ...editor,
      expireTime: new Date(clock.now() + 300),
    });
    await here.auth.authenticate(`Bearer ${secret}`);
    clock.advance(299);
    expect(here.auth.authenticate(`Bearer ${secret}`)).toMatchObject({ workspace: "w" });
    clock.advance(1);
    await refused(() => here.auth.authenticate(`Bearer ${secret}`));
  });

  it("remembers a refusal for one second only", async () => {
    const { clock, here } = await useServers();
    await here.keys.create(editor);
    const header = `Bearer ${newKeySecret(newKeyId(0))}`;
    expect(await refused(() => here.auth.authenticate(header))).toContain("unknown");
    expect(() => here.auth.authenticate(header)).toThrow(Unauthenticated);
    clock.advance(1000);
    const asked = here.auth.authenticate(header);
    expect(asked).toBeInstanceOf(Promise);
    await refused(() => asked);
  });

  it("refuses the right id with another secret", async () => {
    const { here } = await useServers();
    const { record } = await here.keys.create(editor);
    const forged = `Bearer ${newKeySecret(record.id)}`;
    expect(await refused(() => here.auth.authenticate(forged))).toContain("unknown");
  });

  it.each([
    ["Basic dXNlcjpwYXNz"],
    ["Bearer"],
    ["Bearer plk_short"],
    [`Bearer ${"x".repeat(600)}`],
    ["plk_0000000000000000_x"],
  ])("refuses %s without asking the store, even on an open mesh", async (header) => {
    const { here } = await useServers(true);
    expect(() => here.auth.authenticate(header)).toThrow(Unauthenticated);
  });

  it("limits the unknown keys looked up at once, and still lets known ones in", async () => {
    const { clock, here } = await useServers();
    const { secret } = await here.keys.create(editor);
    await here.auth.authenticate(`Bearer ${secret}`);
    clock.advance(5000);
    const guess = () => here.auth.authenticate(`Bearer ${newKeySecret(newKeyId(0))}`);
    const guesses = Array.from({ length: 256 }, () => refused(guess));
    expect(guess).toThrow(ResourceExhausted);
    expect(await here.auth.authenticate(`Bearer ${secret}`)).toMatchObject({ workspace: "w" });
    expect(await Promise.all(guesses)).toHaveLength(256);
  });

  it("lets callers it knew in for an hour while the store is away, and nobody else", async () => {
    const clock = new FakeClock();
    const keys = await ApiKeys.open(await useStore(), clock);
    const kept = (await keys.create(editor)).secret;
    const brief = await keys.create({ ...editor, expireTime: new Date(clock.now() + 60_000) });
    const unseen = (await keys.create(admin)).secret;
    let away = false;
    const source: KeySource = {
      lookup: async (id) => {
        if (away) throw storeAway();
        return keys.lookup(id);
      },
      everMade: () => keys.everMade(),
      onChange: (listener) => keys.onChange(listener),
    };
    using auth = createAuthenticator({
      keys: source,
      meshSecret: undefined,
      clock,
      openAllowed: false,
    });
    const ask = async (secret: string) => auth.authenticate(`Bearer ${secret}`);
    await ask(kept);
    await ask(brief.secret);
    away = true;
    clock.advance(10_000);
    expect(await ask(kept)).toMatchObject({ workspace: "w" });
    // From now on without waiting for a store that is known to be away.
    expect(auth.authenticate(`Bearer ${kept}`)).toMatchObject({ workspace: "w" });
    await expect(ask(unseen)).rejects.toBeInstanceOf(Unavailable);
    clock.advance(50_000);
    await expect(ask(brief.secret)).rejects.toBeInstanceOf(Unavailable);
    clock.advance(3_500_000);
    expect(await ask(kept)).toMatchObject({ workspace: "w" });
    clock.advance(100_000);
    await expect(ask(kept)).rejects.toBeInstanceOf(Unavailable);
    away = false;
    expect(await ask(kept)).toMatchObject({ workspace: "w" });
    clock.advance(6000);
    await keys.revoke({ workspace: "w", id: keyIdOf(kept)! });
    await refused(() => ask(kept));
  });

  it("stays open while the store is away, if it was open before", async () => {
    const clock = new FakeClock();
    const keys = await ApiKeys.open(await useStore(), clock);
    let away = false;
    const source: KeySource = {
      lookup: (id) => keys.lookup(id),
      everMade: async () => {
        if (away) throw storeAway();
        return keys.everMade();
      },
      onChange: (listener) => keys.onChange(listener),
    };
    const options = { keys: source, meshSecret: undefined, clock, openAllowed: true };
    using auth = createAuthenticator(options);
    expect(await auth.authenticate(undefined)).toBe(anonymous);
    away = true;
    clock.advance(6000);
    expect(await auth.authenticate(undefined)).toBe(anonymous);
    using fresh = createAuthenticator(options);
    await expect(fresh.authenticate(undefined)).rejects.toBeInstanceOf(Unavailable);
  });

  it("knows the services of its mesh and no others", async () => {
    const { here } = await useServers();
    expect(here.auth.authenticate(serviceAuthorization("s".repeat(32)))).toEqual({
      id: "services/mesh",
      workspace: "-",
      roles: [Role.SERVICE],
    });
    expect(await refused(() => here.auth.authenticate("Bearer plm_guess"))).toContain("mesh");
    const { keys } = here;
    const options = { keys, meshSecret: undefined, clock: new FakeClock(), openAllowed: true };
    using without = createAuthenticator(options);
    expect(await refused(() => without.authenticate("Bearer plm_undefined"))).toContain("mesh");
  });

  it("is open until the first key: closed at once here, within 5 seconds elsewhere", async () => {
    const { clock, here, there } = await useServers(true);
    expect(await here.auth.authenticate(undefined)).toBe(anonymous);
    expect(await there.auth.authenticate("")).toBe(anonymous);
    expect(here.auth.authenticate(undefined)).toBe(anonymous);
    clock.advance(1);
    const { record, secret } = await here.keys.create(admin);
    expect(await refused(() => here.auth.authenticate(undefined))).toContain("no credentials");
    expect(there.auth.authenticate(undefined)).toBe(anonymous);
    clock.advance(4999);
    await refused(() => there.auth.authenticate(undefined));
    expect(await there.auth.authenticate(`Bearer ${secret}`)).toMatchObject({ workspace: "-" });
    await here.keys.revoke({ workspace: "-", id: record.id });
    clock.advance(60_000);
    await refused(() => there.auth.authenticate(undefined));
  });

  it("is never open where it may not be", async () => {
    const { here } = await useServers(false);
    expect(await refused(() => here.auth.authenticate(undefined))).toContain("plinth keys create");
  });
});
