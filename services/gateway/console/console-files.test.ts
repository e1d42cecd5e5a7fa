import { execFile } from "node:child_process";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { Channel } from "../../common/rpc/client.ts";
import { useGateway } from "../testing.ts";

const ENTRY = "/console/modules/services/gateway/console/page/verify-page.ts";

/** Every address of a script, style sheet or preloaded module in a page. */
function loadedBy(html: string): string[] {
  return [...html.matchAll(/<(?:script|link)[^>]*\s(?:src|href)="([^"]+)"/g)].map(
    (match) => match[1]!,
  );
}

/** What modules of a script's text are asked for, as a browser reads it. */
function importsOf(script: string, address: string): string[] {
  const names = [
    ...script.matchAll(/^(?:import|export)(?:[\w\s{},*$]+from)?\s*["']([^"']+)["']/gm),
  ];
  return names.map((match) => new URL(match[1]!, `http://host${address}`).pathname);
}

/** The status line and what follows, for a path that fetch would have tidied. */
async function rawGet(port: number, path: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.end(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
  return await text(socket);
}

describe("console", () => {
  it("prints no warning where it takes the types out", async () => {
    // In a process of its own, as Node says once a process what is experimental.
    const graph = new URL("./module-graph.ts", import.meta.url).href;
    const entry = fileURLToPath(new URL("./page/verify-page.ts", import.meta.url));
    const code = `import { moduleGraph } from ${JSON.stringify(graph)};
      console.log((await moduleGraph(${JSON.stringify(entry)}, "/")).size > 20);`;
    const words = ["--input-type=module", "--eval", code];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, words, { env: {} });
    expect({ stdout, stderr }).toEqual({ stdout: "true\n", stderr: "" });
  });

  it("serves its pages, styles and modules with their types, bound by a strict policy", async () => {
    const { url } = await useGateway();
    for (const path of ["/console/", "/console/verify"]) {
      const page = await fetch(url + path);
      expect([page.status, page.headers.get("content-type")]).toEqual([
        200,
        "text/html; charset=utf-8",
      ]);
      const policy = page.headers.get("content-security-policy")?.split("; ") ?? [];
      expect(policy).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "connect-src 'none'",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'",
        ]),
      );
      expect(policy.join()).not.toMatch(/unsafe|http|\*/);
      const html = await page.text();
      expect(html).not.toMatch(/<style|\sstyle=|<script>|\son[a-z]+=|https?:\/\//);
      for (const address of loadedBy(html).filter((one) => one !== "data:,")) {
        const file = await fetch(url + address);
        const type = address.endsWith(".css") ? "text/css" : "text/javascript";
        expect([address, file.status, file.headers.get("content-type")]).toEqual([
          address,
          200,
          `${type}; charset=utf-8`,
        ]);
        expect(file.headers.get("x-content-type-options")).toBe("nosniff");
      }
    }
  });

  it("serves every module that another one imports, and names each in the page", async () => {
    const { url } = await useGateway();
    const preloaded = loadedBy(await (await fetch(`${url}/console/verify`)).text());
    const found = new Set([ENTRY]);
    for (const address of found) {
      const module = await fetch(url + address);
      expect([address, module.status]).toEqual([address, 200]);
      expect(preloaded).toContain(address);
      for (const imported of importsOf(await module.text(), address)) found.add(imported);
    }
    expect([...found]).toEqual(
      expect.arrayContaining([
        "/console/modules/services/proofs/verifier/verify-inference.ts",
        "/console/modules/@noble/curves/bn254.js",
        "/console/modules/@noble/hashes/sha2.js",
      ]),
    );
  });

  it("tells a browser that has a file already so, and answers HEAD without a body", async () => {
    const { url } = await useGateway();
    const first = await fetch(url + ENTRY);
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    expect(first.headers.get("cache-control")).toBe("no-cache");
    for (const kept of [etag, `"other", W/${etag}`]) {
      const again = await fetch(url + ENTRY, { headers: { "if-none-match": kept } });
      expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([
        304,
        "",
        etag,
      ]);
    }
    const other = await fetch(url + ENTRY, { headers: { "if-none-match": '"other"' } });
    expect(other.status).toBe(200);
    const head = await fetch(url + ENTRY, { method: "HEAD" });
    expect([head.status, await head.text(), head.headers.get("content-length")]).toEqual([
      200,
      "",
      first.headers.get("content-length"),
    ]);
  });

  it("has nothing else: no file of the tree, no path out of it, no other method", async () => {
    const { url, gateway } = await useGateway();
    for (const path of [
      "/console/nothing",
      "/console/verify/",
      "/console/page/verify.html",
      "/console/modules/",
      "/console/modules/package.json",
      "/console/modules/services/gateway/app.ts",
      "/console/modules/services/proofs/prover/prover-main.ts",
      "/console/modules/services/gateway/console/page/verify.html",
      "/console/__proto__",
    ]) {
      const missing = await fetch(url + path);
      expect([path, missing.status]).toEqual([path, 404]);
      expect(await missing.text()).toContain("GET /console/ lists what it has");
    }
    for (const path of [
      "/console/../package.json",
      "/console/modules/../../../package.json",
      "/console/modules/services/gateway/console/page/../../app.ts",
      "/console/%2e%2e/package.json",
      "/console/modules/..%2f..%2fpackage.json",
      "/console/modules//etc/passwd",
      "/console/\\..\\package.json",
    ]) {
      const answer = await rawGet(gateway.port, path);
      expect([path, answer.split("\r\n", 1)[0]]).toEqual([path, "HTTP/1.1 404 Not Found"]);
      expect(answer).not.toContain("Apache");
    }
    const post = await fetch(`${url}/console/verify`, { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const bare = await fetch(`${url}/console`, { redirect: "manual" });
    expect([bare.status, bare.headers.get("location")]).toEqual([308, "/console/"]);
  });

  it("has the page that asks this server only where there are proofs to ask for", async () => {
    const without = await useGateway();
    expect((await fetch(`${without.url}/console/verify/server`)).status).toBe(404);
    expect(await (await fetch(`${without.url}/console/`)).text()).toContain('data-proofs="none"');
    using channel = new Channel({ address: without.server.address });
    const { url } = await useGateway(
      {},
      { channels: { registry: channel, inference: channel, proofs: channel } },
    );
    const page = await fetch(`${url}/console/verify/server`);
    expect(page.headers.get("content-security-policy")).toContain("connect-src 'self'");
    expect(await page.text()).toContain('data-source="server" data-proofs="here"');
    expect(await (await fetch(`${url}/console/`)).text()).toContain('data-proofs="here"');
  });

  it("is refused to names that are not the gateway's", async () => {
    const { gateway } = await useGateway();
    const foreign = connect({ host: "127.0.0.1", port: gateway.port });
    foreign.end("GET /console/ HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    expect(await text(foreign)).toMatch(/^HTTP\/1\.1 403 /);
  });
});
