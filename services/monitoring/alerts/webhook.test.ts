import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isPublicAddress } from "./public-address.ts";
import { newSecret, secretFault, webhookHeaders, webhookUrlFault } from "./webhook.ts";

describe("webhook", () => {
  it("signs as the example of Standard Webhooks", () => {
    // The vector in the specification's own tests (libraries/javascript, "sign function works").
    const headers = webhookHeaders({
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampSeconds: 1614265330,
      body: '{"test": 2432232314}',
      secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    });
    expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  it("makes secrets of 32 random bytes", () => {
    const secret = newSecret();
    expect(secretFault(secret)).toBeUndefined();
    expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
    expect(newSecret()).not.toBe(secret);
    const headers = webhookHeaders({ id: "i", timestampSeconds: 1, body: "b", secret });
    const key = Buffer.from(secret.slice(6), "base64");
    const signed = createHmac("sha256", key).update("i.1.b").digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signed}`);
  });

  it.each([
    ["whsec_", false],
    ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false],
    [`whsec_${Buffer.alloc(23).toString("base64")}`, false],
    [`whsec_${Buffer.alloc(24).toString("base64")}`, true],
    [`whsec_${Buffer.alloc(64).toString("base64")}`, true],
    [`whsec_${Buffer.alloc(65).toString("base64")}`, false],
    [`whsec_${Buffer.alloc(32).toString("base64").replace("=", "")}`, true],
    [`whsec_not base64 at all, but long enough!`, false],
  ])("takes a secret of 24 to 64 bytes: %s %s", (secret, isRight) => {
    expect(secretFault(secret) === undefined).toBe(isRight);
  });

  it.each([
    ["https://example.com/hook", true],
    ["http://example.com:8080/a?b=c", true],
    ["ftp://example.com", false],
    ["example.com/hook", false],
    ["https://user@example.com", false],
    ["https://:secret@example.com", false],
    [`https://example.com/${"x".repeat(2048)}`, false],
    ["", false],
  ])("takes an absolute http url without credentials: %s %s", (url, isRight) => {
    expect(webhookUrlFault(url, "any") === undefined).toBe(isRight);
  });

  it.each([
    "http://localhost:9000",
    "http://LOCALHOST.",
    "http://a.localhost",
    "http://127.0.0.1",
    "http://127.1",
    "http://2130706433",
    "http://0x7f.0.0.1",
    "http://[::1]:80",
    "http://[::ffff:10.0.0.1]",
    "http://10.1.2.3",
    "http://169.254.169.254/latest/meta-data",
    "http://192.168.0.1",
    "http://[fd00::1]",
    "http://[fe80::1]",
    "http://0.0.0.0",
  ])("refuses %s where only public hosts are allowed", (url) => {
    expect(webhookUrlFault(url, "public")).toContain("not on the public internet");
    expect(webhookUrlFault(url, "any")).toBeUndefined();
  });

  it("tells public addresses from others", () => {
    const open = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"];
    expect(open.filter((address) => !isPublicAddress(address))).toEqual([]);
    const closed = [
      "100.64.0.1",
      "172.16.0.1",
      "172.31.255.255",
      "198.18.0.1",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "2001:db8::1",
      "2002:a00:1::",
      "64:ff9b::a00:1",
      "ff02::1",
      "no address",
      "",
    ];
    expect(closed.filter(isPublicAddress)).toEqual([]);
  });
});
