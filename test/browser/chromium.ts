// A real browser for tests: the Chromium that is installed, found on PATH. Where there is none the
// tests are skipped, visibly; in CI that is a failure.

import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import { rolldown } from "rolldown";
import { describe, onTestFinished } from "vitest";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** No sandbox, for tests run as root in containers; no traffic of the browser's own. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The installed Chromium, or undefined. */
function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** `describe` for tests that need the browser: skipped without one, unless `CI` is `true`. */
export function describeInBrowser(name: string, tests: () => void): void {
  const skip = findChromium() === undefined && process.env.CI !== "true";
  describe.skipIf(skip)(`${name}${skip ? " (no Chromium on PATH)" : ""}`, tests);
}

/**
 * A browser with a profile of its own; both are gone when the test is.
 * @throws when no Chromium is installed.
 */
export async function useChromium(): Promise<BrowserContext> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Error(`None of ${NAMES.join(", ")} is on PATH. Install Chromium to run this test.`);
  }
  const profile = await mkdtemp(join(tmpdir(), "plinth-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: FLAGS,
  });
  onTestFinished(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}

/** A TypeScript file and what it imports as one module script for a page. */
export async function bundleForBrowser(file: string): Promise<string> {
  await using bundle = await rolldown({ input: file, platform: "browser", logLevel: "silent" });
  const { output } = await bundle.generate({ format: "es" });
  return output[0].code;
}
