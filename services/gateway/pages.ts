// What the gateway answers by itself: is the process alive, is the mesh ready, the metrics, and a
// page that says what is here.

import { SERVICES } from "./connect-routes.ts";
import { CONSOLE } from "./console/console-files.ts";
import type { RestAnswer } from "./rest-routes.ts";

/** Whether the mesh can do its work: as a whole, or service by service. */
export type Readiness = boolean | Readonly<Record<string, boolean>>;

export interface PagesOptions {
  readonly ready: () => Readiness;
  readonly metricsText: () => Promise<string>;
  readonly isDraining: () => boolean;
}

/** The pages by path; all are for GET and HEAD. */
export function pages(options: PagesOptions): Readonly<Record<string, () => Promise<RestAnswer>>> {
  return {
    "/": async () => answer(200, "text/html; charset=utf-8", INDEX, INDEX_HEADERS),
    "/console": async () => ({
      status: 308,
      headers: { location: CONSOLE, "cache-control": "no-store" },
      body: Buffer.alloc(0),
    }),
    "/healthz": async () => jsonAnswer(200, { status: "alive" }),
    "/readyz": async () => {
      const state = options.ready();
      const services = typeof state === "boolean" ? {} : state;
      const ready = typeof state === "boolean" ? state : Object.values(state).every(Boolean);
      if (options.isDraining()) {
        return jsonAnswer(503, { status: "draining", services });
      }
      return jsonAnswer(ready ? 200 : 503, { status: ready ? "ready" : "not ready", services });
    },
    "/metrics": async () => {
      const text = await options.metricsText();
      return answer(200, "text/plain; version=0.0.4; charset=utf-8", text);
    },
  };
}

/** An answer in JSON that nobody may keep. */
export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): RestAnswer {
  return answer(status, "application/json", JSON.stringify(value), headers);
}

function answer(
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): RestAnswer {
  return {
    status,
    headers: { "content-type": contentType, "cache-control": "no-store", ...headers },
    body: Buffer.from(body),
  };
}

const INDEX_HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
};

const INDEX = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Plinth</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #8881; padding: .75rem; overflow-x: auto }
</style>
<h1>Plinth</h1>
<p>This is the web port of a Plinth mesh.</p>
<ul>
<li><a href="/console/">/console/</a>: pages for people: check a proof</li>
<li><a href="/readyz">/readyz</a>: whether every service is ready</li>
<li><a href="/healthz">/healthz</a>: whether this process is alive</li>
<li><a href="/metrics">/metrics</a>: metrics for Prometheus</li>
<li><a href="/v2">/v2</a>: the Open Inference Protocol in its REST form</li>
</ul>
<h2>Connect and gRPC-Web</h2>
<p>Any of these services answers at <code>/&lt;service&gt;/&lt;method&gt;</code>:</p>
<ul>
${SERVICES.map((service) => `<li><code>${service.typeName}</code></li>`).join("\n")}
</ul>
<pre>curl -H 'content-type: application/json' -d '{}' \\
  http://127.0.0.1:8080/inference.GRPCInferenceService/RepositoryIndex</pre>
</html>
`;
