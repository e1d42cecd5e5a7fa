// A browser that shows a page of another origin gets predictions through the gateway: CORS, the
// Connect protocol and gRPC-Web as a browser really does them.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { useGateway } from "../../services/gateway/testing.ts";
import { bundleForBrowser, describeInBrowser, useChromium } from "./chromium.ts";

/** Serves the page; resolves with its origin, which is not the gateway's. */
async function servePage(): Promise<string> {
  const script = await bundleForBrowser(fileURLToPath(new URL("predict-page.ts", import.meta.url)));
  const html =
    '<!doctype html><p id="answer">waiting</p><script type="module" src="/page.js"></script>';
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    const type = isScript ? "text/javascript" : "text/html";
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` });
    response.end(isScript ? script : html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describeInBrowser("a page in a browser", () => {
  it("predicts and watches through every protocol, and reads why a call failed", async () => {
    const { url, seen } = await useGateway();
    const page = await (await useChromium()).newPage();
    const origin = await servePage();
    const answerTo = async (asked: Record<string, string>): Promise<string> => {
      await page.goto(`${origin}/?${new URLSearchParams({ gateway: url, ...asked })}`);
      await page.waitForFunction("document.getElementById('answer').textContent !== 'waiting'");
      return (await page.textContent("#answer")) ?? "";
    };
    for (const protocol of ["json", "binary", "grpc-web"]) {
      const row = JSON.stringify({ radius: 17.5 });
      expect(await answerTo({ protocol, deployment: "echo", row, watch: "" })).toBe(
        '{"outputs":[{"radius":17.5}],"watched":["1","2","3"]}',
      );
      expect(seen.context?.header("authorization")).toBe("Bearer key.secret");
      expect(seen.context?.header("plinth-workspace")).toBe("default");
      expect(await answerTo({ protocol, deployment: "bad" })).toBe(
        "InvalidArgument: rows must not be empty (INVALID_FIELD)",
      );
    }
  });

  it("gets nothing from a gateway that does not know its origin", async () => {
    const { url, seen } = await useGateway({ corsOrigins: ["https://app.example.com"] });
    const page = await (await useChromium()).newPage();
    const origin = await servePage();
    await page.goto(`${origin}/?${new URLSearchParams({ gateway: url, deployment: "echo" })}`);
    await page.waitForFunction("document.getElementById('answer').textContent !== 'waiting'");
    expect(await page.textContent("#answer")).toMatch(/Failed to fetch/);
    expect(seen.request).toBeUndefined();
  });
});
