// The HTML report: what a browser would make of it, whatever the names in it say.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import { fileFolder, plinth } from "./testing.ts";
import { DRIFT, flights, HOSTILE, VERSION } from "./testing-flights.ts";
import { useMonitoring } from "./testing-monitor.ts";

const folder = fileFolder();

async function report(handlers: Partial<typeof flights> = {}): Promise<string> {
  const monitoring = { ...flights.monitoring, ...handlers.monitoring };
  const alerts = { ...flights.alerts, ...handlers.alerts };
  const address = await useMonitoring(monitoring, alerts);
  const path = join(folder, "report.html");
  const { code, stdout, stderr } = await plinth(["monitor", "report", "flights", "--html", path], {
    address,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/report\.html: [\d.]+ KiB\.\n$/);
  return readFileSync(path, "utf8");
}

/** The elements in order, checked to be nested as HTML wants them. */
function elements(page: string): readonly string[] {
  const empty = ["meta", "wbr"];
  const open: string[] = [];
  const seen: string[] = [];
  const body = page.replace(/<style>[^<]*<\/style>/, "").replace("<!doctype html>", "");
  for (const [, close, name = "", rest = ""] of body.matchAll(
    /<(\/?)([a-zA-Z0-9]+)((?:\s+[\w-]+="[^"<>]*")*\s*\/?)>/g,
  )) {
    if (close === "/") {
      expect(open.pop(), `</${name}>`).toBe(name);
    } else {
      seen.push(name);
      if (!empty.includes(name) && !rest.endsWith("/")) {
        open.push(name);
      }
    }
  }
  expect(open).toEqual([]);
  // Whatever else begins with "<" would be a tag that was not closed or text that was not escaped.
  expect(body.match(/</g)).toHaveLength(body.match(/<\/?[a-zA-Z0-9]+(?:\s|>|\/)/g)?.length ?? 0);
  return seen;
}

describe("monitor report", () => {
  it("is one well-formed file that loads nothing and runs nothing", async () => {
    const page = await report();
    const names = elements(page);
    expect(names.filter((name) => /^(?:script|link|img|iframe|object|use|a)$/.test(name))).toEqual(
      Array.from({ length: 7 }, () => "a"),
    );
    expect(page).toContain("default-src &#39;none&#39;".replaceAll("&#39;", "'"));
    expect(page.replace(/"https:\/\/[^"]*"/g, "")).not.toMatch(/url\(|@import|src=|xlink/);
    expect(page).not.toMatch(/\son\w+=/);
    expect([...page.matchAll(/href="([^"]*)"/g)].every(([, to]) => to?.startsWith("#"))).toBe(true);
  });

  it("takes names for text", async () => {
    const page = await report();
    expect(page).not.toContain(HOSTILE);
    expect(page).not.toMatch(/<script/i);
    expect(page).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/<wbr>script&gt;");
  });

  it("names method, threshold and verdict of each number, and draws each column", async () => {
    const page = await report();
    for (const text of [
      "Kolmogorov-Smirnov, p",
      "drift when &lt;= 0.05",
      "drifted, significant",
      "drifted, moderate",
      "122 of 500",
      "3 of 5 feature columns have drifted (60%)",
      "estimate confirmed by labels",
      "Calibration error (ECE, ten bins): 0.0231",
    ]) {
      expect(page).toContain(text);
    }
    expect(page.match(/<article class="card">/g)).toHaveLength(9);
    const charts = page.match(/<svg class="chart"[^>]*>\s*<title>/g) ?? [];
    expect(charts).toHaveLength(9 + 4);
    expect(page).toContain('aria-label="hour: baseline and current distribution"');
    // The text alternative: each card's bins as a table.
    expect(page.match(/<details>/g)).toHaveLength(9);
    expect(page).not.toMatch(/NaN"|Infinity"|undefined/);
  });

  it("says what is missing and why, and still tells the rest", async () => {
    const page = await report({
      monitoring: {
        getPerformance: async () => {
          throw new FailedPrecondition("The version gives neither classes nor numbers.", {
            reason: ErrorReason.STATE_FORBIDS,
            violations: [],
          });
        },
        listWindows: async () => ({ windows: [] }),
        getDriftReport: async () => ({
          deployment: DRIFT.deployment ?? "",
          modelVersion: VERSION,
          columns: [{ name: "empty", bins: { edges: [0, 0], reference: [0], current: [0] } }],
        }),
      },
      alerts: { listAlerts: async () => ({ alerts: [] }) },
    });
    elements(page);
    expect(page).toContain("The version gives neither classes nor numbers.");
    expect(page).toContain("No windows are kept.");
    expect(page).toContain("No feature column was measured.");
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("goes to stdout for -", async () => {
    const address = await useMonitoring(flights.monitoring, flights.alerts);
    const { code, stdout } = await plinth(["monitor", "report", "flights", "--html", "-"], {
      address,
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^<!doctype html>.*<\/html>\n$/s);
  });
});
