import { describe, expect, it } from "vitest";
import { listSettings, parseSettings } from "./config.ts";
import { InvalidArgument } from "./errors/domain-error.ts";
import { bytes, choice, decimal, duration, hostPort, integer, list, text, uri } from "./setting.ts";

const settings = {
  listen: hostPort({ env: "PLINTH_LISTEN", default: "127.0.0.1:50051", about: "Where." }),
  queueMax: integer({ env: "PLINTH_QUEUE_MAX", default: 64, min: 1, max: 4096, about: "Depth." }),
  share: decimal({ env: "PLINTH_SHARE", default: 0.5, min: 0, max: 1, about: "Share." }),
  drain: duration({ env: "PLINTH_DRAIN", default: "10s", max: "5m", about: "Patience." }),
  cache: bytes({ env: "PLINTH_CACHE", default: "4GiB", min: "1MiB", about: "Memory." }),
  log: { level: choice({ env: "PLINTH_LOG", options: ["info", "debug"], about: "Level." }) },
  store: uri({ env: "PLINTH_STORE", schemes: ["sqlite", "mongodb"], about: "Store." }),
  secret: text({
    env: "PLINTH_SECRET",
    secret: true,
    must: { match: /^.{16,}$/, be: "16 or more characters" },
    about: "Secret.",
  }),
  origins: list(text({ env: "PLINTH_ORIGINS", about: "Origins." })),
};

function faultsOf(env: Record<string, string>): Record<string, string> {
  try {
    parseSettings(env, settings);
  } catch (error) {
    const { violations } = error as InvalidArgument;
    return Object.fromEntries(violations.map((v) => [v.field, v.description]));
  }
  return {};
}

describe("config", () => {
  it("gives typed defaults for an empty environment", () => {
    expect(parseSettings({ PLINTH_LISTEN: "  " }, settings)).toEqual({
      listen: { host: "127.0.0.1", port: 50051 },
      queueMax: 64,
      share: 0.5,
      drain: 10_000,
      cache: 4_294_967_296,
      log: { level: undefined },
      store: undefined,
      secret: undefined,
      origins: [],
    });
  });

  it("has the types its settings say", () => {
    const config = parseSettings({}, settings);
    const queueMax: number = config.queueMax;
    const level: "info" | "debug" | undefined = config.log.level;
    const port: number = config.listen.port;
    // @ts-expect-error a setting without a default may be undefined
    const store: string = config.store;
    expect([queueMax, level, port, store]).toEqual([64, undefined, 50051, undefined]);
  });

  it.each([
    ["PLINTH_LISTEN", "[::1]:0", { listen: { host: "::1", port: 0 } }],
    ["PLINTH_LISTEN", "registry.plinth:443", { listen: { host: "registry.plinth", port: 443 } }],
    ["PLINTH_QUEUE_MAX", "4096", { queueMax: 4096 }],
    ["PLINTH_SHARE", ".25", { share: 0.25 }],
    ["PLINTH_DRAIN", "0", { drain: 0 }],
    ["PLINTH_DRAIN", "1.5s", { drain: 1500 }],
    ["PLINTH_DRAIN", "250us", { drain: 0.25 }],
    ["PLINTH_DRAIN", "5m", { drain: 300_000 }],
    ["PLINTH_CACHE", "1048576", { cache: 1_048_576 }],
    ["PLINTH_CACHE", "2 MB", { cache: 2_000_000 }],
    ["PLINTH_CACHE", "1.5GiB", { cache: 1_610_612_736 }],
    ["PLINTH_LOG", "Debug", { log: { level: "debug" } }],
    ["PLINTH_STORE", "mongodb://a:1,b:2/db", { store: "mongodb://a:1,b:2/db" }],
    ["PLINTH_ORIGINS", "http://a, http://b,", { origins: ["http://a", "http://b"] }],
  ])("reads %s=%s", (name, value, expected) => {
    expect(parseSettings({ [name]: value }, settings)).toMatchObject(expected);
  });

  it.each([
    ["PLINTH_LISTEN", ":8080"],
    ["PLINTH_LISTEN", "localhost"],
    ["PLINTH_LISTEN", "localhost:65536"],
    ["PLINTH_QUEUE_MAX", "0"],
    ["PLINTH_QUEUE_MAX", "4097"],
    ["PLINTH_QUEUE_MAX", "1e3"],
    ["PLINTH_QUEUE_MAX", "64.0"],
    ["PLINTH_SHARE", "1.01"],
    ["PLINTH_SHARE", "NaN"],
    ["PLINTH_DRAIN", "10"],
    ["PLINTH_DRAIN", "-1s"],
    ["PLINTH_DRAIN", "6m"],
    ["PLINTH_CACHE", "1023KiB"],
    ["PLINTH_CACHE", "4Gib/s"],
    ["PLINTH_LOG", "verbose"],
    ["PLINTH_STORE", "postgres://x"],
    ["PLINTH_SECRET", "short"],
  ])("refuses %s=%s and names it", (name, value) => {
    expect(Object.keys(faultsOf({ [name]: value }))).toEqual([name]);
  });

  it("reports every fault at once, with what came and what was expected", () => {
    const env = { PLINTH_QUEUE_MAX: "many", PLINTH_DRAIN: "soon", PLINTH_QUEUE_MIN: "1" };
    expect(() => parseSettings(env, settings)).toThrow(InvalidArgument);
    expect(() => parseSettings(env, settings)).toThrow(
      "The configuration has 3 faults:\n" +
        '  PLINTH_QUEUE_MAX is "many"; expected an integer from 1 to 4096.\n' +
        '  PLINTH_DRAIN is "soon"; expected a duration such as "250ms", "5s", "10m" or "2h", ' +
        "at most 5m.\n" +
        "  PLINTH_QUEUE_MIN is not a setting of this process. Did you mean PLINTH_QUEUE_MAX?",
    );
  });

  it("suggests nothing for a name that is like no other", () => {
    expect(faultsOf({ PLINTH_TELEPORTATION: "1" })).toEqual({
      PLINTH_TELEPORTATION: "is not a setting of this process. Remove it.",
    });
  });

  it("lets pass what other processes and Kubernetes put there", () => {
    const env = {
      PLINTH_INFERENCE_THREADS: "2",
      PLINTH_REGISTRY_SERVICE_HOST: "10.0.0.1",
      PLINTH_REGISTRY_SERVICE_PORT_GRPC: "50051",
      PLINTH_REGISTRY_PORT: "tcp://10.0.0.1:50051",
      PLINTH_REGISTRY_PORT_50051_TCP_ADDR: "10.0.0.1",
      HOME: "/root",
    };
    const parse = () => parseSettings(env, settings, { elsewhere: ["PLINTH_INFERENCE_"] });
    expect(parse()).toMatchObject({ queueMax: 64 });
    expect(Object.keys(faultsOf(env))).toEqual(["PLINTH_INFERENCE_THREADS"]);
  });

  it("never shows a secret or the credentials of a URI", () => {
    const faults = faultsOf({ PLINTH_SECRET: "hunter2", PLINTH_STORE: "http://bob:pass@db" });
    expect(faults.PLINTH_SECRET).toBe(
      "is (7 characters, not shown); expected 16 or more characters.",
    );
    expect(faults.PLINTH_STORE).toContain('"http://***@db"');
  });

  it("lists its settings once, for the table in the README", () => {
    const rows = listSettings({ a: settings, b: { again: settings.drain } });
    expect(rows).toHaveLength(9);
    expect(rows[3]).toMatchObject({ env: "PLINTH_DRAIN", default: "10s", about: "Patience." });
  });
});
