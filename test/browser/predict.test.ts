// A browser that shows a page of another origin gets predictions through the gateway: CORS, the
// Connect protocol and gRPC-Web as a browser really does them; of a whole mesh also by entity key.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { useGateway } from "../../services/gateway/testing.ts";
import { useMesh } from "../e2e/use-mesh.ts";
import { clientsOn } from "../e2e/use-models.ts";
import { bundleForBrowser, describeInBrowser, useChromium } from "./chromium.ts";

const HTML =
  '<!doctype html><p id="answer">waiting</p><script type="module" src="/page.js"></script>';

const FLIGHTS_HTML = `<!doctype html><meta charset="utf-8"><title>Flights</title>
<style>
  body { font: 14px sans-serif; margin: 24px; }
  table { border-collapse: collapse; margin-bottom: 16px; }
  th, td { border-bottom: 1px solid #ccc; padding: 4px 12px 4px 0; text-align: left; }
  .NULL_VALUE, .NOT_FOUND { color: #b00; }
</style><script type="module" src="/page.js"></script>`;

/** Serves a page with this script; resolves with its origin, which is not the gateway's. */
async function servePage(file = "predict-page.ts", html = HTML): Promise<string> {
  const script = await bundleForBrowser(fileURLToPath(new URL(file, import.meta.url)));
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

  it("predicts flights by entity key, and shows what became of their features", async () => {
    const origin = await servePage("flights-page.ts", FLIGHTS_HTML);
    const mesh = await useMesh({ PLINTH_GATEWAY_CORS_ORIGINS: origin });
    await mesh.seed();
    const departure = "2001-06-30T18:00:00Z";
    const flights = [
      { origin: "ATL", destination: "JFK", departure },
      { origin: "SFO", destination: "HNL", departure },
      { origin: "ATL", destination: "ZZZ", departure },
    ];
    const { predictions, featureStatuses } = await clientsOn(mesh.channel).predictions.predict({
      deployment: "flights-live",
      entities: flights,
    });
    const delays = predictions.slice(0, 2).map(({ outputs }) => outputs?.delay_minutes as number[]);
    const page = await (await useChromium()).newPage();
    for (const protocol of ["json", "binary", "grpc-web"]) {
      const asked = { gateway: mesh.webUrl, protocol, flights: JSON.stringify(flights) };
      await page.goto(`${origin}/?${new URLSearchParams(asked)}`);
      await page.waitForSelector(".done");
      expect(await page.textContent(".done")).toBe(
        "by workspaces/default/featureServices/flight_delay/versions/1",
      );
      const rows = await page.locator(".flights tr").allInnerTexts();
      expect(rows.slice(1, 3)).toEqual([
        `ATL\tJFK\t${delays[0]![0]!.toFixed(4)} min`,
        `SFO\tHNL\t${delays[1]![0]!.toFixed(4)} min`,
      ]);
      expect(rows[3]).toMatch(/^ATL\tZZZ\t.*"distance" is NOT_FOUND/);
      const statuses = await page.locator(".statuses tr").allInnerTexts();
      expect(statuses).toHaveLength(1 + featureStatuses.length);
      expect(statuses).toContain("hour\tPRESENT\tPRESENT\tPRESENT");
      expect(statuses).toContain("origin_mean_delay_3h\tPRESENT\tPRESENT\tPRESENT");
      expect(statuses).toContain("distance\tPRESENT\tPRESENT\tNOT_FOUND");
    }
  }, 60_000);
});
