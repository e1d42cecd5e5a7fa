// The console in a real browser: proofs are checked in the page, with nothing sent and with no
// server there; what is wrong with a file or a proof is said. The files are those of the command line.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, expect, it } from "vitest";
import {
  type ProofFixture,
  proofFixture,
  RISK,
  VERSION,
} from "../../services/cli/testing-proofs.ts";
import { type TestGateway, useGateway } from "../../services/gateway/testing.ts";
import type { CircuitSchema } from "../../services/proofs/circuit/circuit-schema.ts";
import { toField } from "../../services/proofs/field.ts";
import { packValues } from "../../services/proofs/verifier/signal-encoding.ts";
import { describeInBrowser, useChromium } from "./chromium.ts";
import { seenText } from "./seen-text.ts";

const folder = mkdtempSync(join(tmpdir(), "plinth-console-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** -1 and 1 in sixteenths, the row [1, 2.5, 127.5] in halves, the context 0a1b. */
const VALUES = [-16n, 16n, ...packValues([2, 5, 255], 8), 0x0a1bn];
const PUBLIC_VALUES = VALUES.map((value) => String(toField(value)));
const risk = proofFixture(folder, RISK);
const valid = risk.proof(VALUES);

/** A file with this content. */
function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

interface VerifyPage {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly test: TestGateway;
  /** What the page asked for since it was loaded. */
  readonly asked: string[];
  /** Chooses files and gives the verdict. */
  verdict(proof: string, key: string): Promise<string>;
  /** The verdict once its title is this. */
  titled(title: string): Promise<string>;
  /** What is said beside the file that was chosen as `place`. */
  note(place: "proof" | "key"): Promise<string>;
}

/** The page, loaded; the test fails where the browser has anything to complain of. */
async function openPage(): Promise<VerifyPage> {
  const test = await useGateway();
  const context = await useChromium();
  const page = await context.newPage();
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`${test.url}/console/verify`);
  await page.locator("#verdict h2").waitFor();
  page.on("request", (request) => asked.push(request.url()));
  const titled = async (title: string): Promise<string> => {
    await page.locator("#verdict h2", { hasText: new RegExp(`^${title}$`) }).waitFor();
    expect(complaints).toEqual([]);
    return await seenText(page.locator("#verdict"));
  };
  return {
    ...{ page, context, test, asked, titled },
    async verdict(proof, key) {
      // What is seen afterwards is of these files, not of those before.
      await page.setInputFiles("#proof-file", []);
      await page.setInputFiles("#key-file", []);
      await titled("Waiting for files");
      await page.setInputFiles("#proof-file", proof);
      await page.setInputFiles("#key-file", key);
      await page.locator("#verdict h2", { hasText: /^(Valid|Not valid)/ }).waitFor();
      expect(complaints).toEqual([]);
      return await seenText(page.locator("#verdict"));
    },
    note: (place) => seenText(page.locator(`#${place}-note`)),
  };
}

/** The page with a valid proof, and what is expected of it. */
async function openChecked(fixture: ProofFixture = risk, proof = valid): Promise<VerifyPage> {
  const open = await openPage();
  await open.verdict(proof, fixture.key);
  return open;
}

describeInBrowser("the console's page that checks proofs", () => {
  it("says what a valid proof proves, by name, and asks nobody", async () => {
    const { page, titled, asked } = await openChecked();
    expect(await titled("Valid")).toContain("Nothing was compared yet.");
    expect(await seenText(page.locator("#proved"))).toMatch(
      /Output scores\s+high \(class 1\)[\s\S]*low\t-1\t-16\t0.1192[\s\S]*high\t1\t16\t0.8807[\s\S]*Input x \[3\]/,
    );
    expect(await page.locator("#proved .values .value").allInnerTexts()).toEqual([
      "1",
      "2.5",
      "127.5",
    ]);
    const found = Object.fromEntries(
      await Promise.all(
        ["modelCommitment", "vkHash", "schemaHash", "circuitHash", "context"].map(
          async (name) => [name, await seenText(page.locator(`#found-${name} code`))] as const,
        ),
      ),
    );
    expect(found).toEqual({
      modelCommitment: "ab".repeat(32),
      vkHash: risk.vkHash,
      schemaHash: risk.schemaHash,
      circuitHash: "c1".repeat(32),
      context: "0a1b",
    });
    expect(await seenText(page.locator("#setup"))).toMatch(/^A ceremony/);
    expect(await seenText(page.locator("#said"))).toContain(VERSION);
    expect(asked).toEqual([]);
  });

  it("works when the network and the server are gone", async () => {
    const open = await openPage();
    await open.context.setOffline(true);
    await open.test.gateway[Symbol.asyncDispose]();
    expect(await open.verdict(valid, risk.key)).toMatch(/^Valid\n/);
    const wrong = risk.proof(VALUES, { publicValues: PUBLIC_VALUES.with(3, "1") });
    expect(await open.verdict(wrong, risk.key)).toMatch(/^Not valid\n/);
    expect(open.asked).toEqual([]);
  });

  it("may not send anything, whatever it tried", async () => {
    const { page, test } = await openPage();
    const refused = page.waitForEvent("console", {
      predicate: (message) => message.type() === "error",
    });
    const outcome = await page.evaluate(
      (url) => fetch(url).then(String, (error: Error) => error.message),
      `${test.url}/healthz`,
    );
    expect(outcome).toMatch(/Failed to fetch/);
    expect((await refused).text()).toContain("connect-src 'none'");
  });

  it("holds a proof to what is expected, and says which value differs", async () => {
    const { page, titled } = await openChecked();
    const expectValue = (name: string, text: string): Promise<void> =>
      page.fill(`#expect-${name}`, text);
    await expectValue("vkHash", risk.vkHash.toUpperCase());
    await expectValue("modelCommitment", "ab".repeat(32));
    await expectValue("schemaHash", risk.schemaHash);
    await expectValue("circuitHash", "c1".repeat(32));
    await expectValue("context", "0x0a1b");
    await page.getByText("5 of 5 values were compared").waitFor();
    expect(await titled("Valid")).not.toContain("Nothing was compared");
    expect(await page.locator(".tag").allInnerTexts()).toEqual(Array(5).fill("as expected"));
    for (const [name, other, right, reason] of [
      ["modelCommitment", "00".repeat(32), "ab".repeat(32), "model-commitment-mismatch"],
      ["vkHash", "00".repeat(32), risk.vkHash, "verifying-key-mismatch"],
      ["schemaHash", "00".repeat(32), risk.schemaHash, "schema-hash-mismatch"],
      ["circuitHash", "00".repeat(32), "c1".repeat(32), "circuit-mismatch"],
      ["context", "0c", "0a1b", "context-mismatch"],
    ] as const) {
      await expectValue(name, other);
      expect(await titled("Not valid")).toContain(`${other} was expected`);
      expect(await seenText(page.locator("#verdict code"))).toBe(reason);
      expect(await seenText(page.locator(`#found-${name}`))).toMatch(/^differs Found /);
      expect(await page.getAttribute(`#expect-${name}`, "aria-invalid")).toBe("true");
      // What the proof is of is shown all the same.
      expect(await page.isVisible("#proved")).toBe(true);
      await expectValue(name, right);
      await titled("Valid");
    }
    await expectValue("vkHash", "abc");
    expect(await titled("Not compared")).toContain("cannot be read");
    expect(await seenText(page.locator("#found-vkHash"))).toContain("these are 3");
  });

  it("refuses proofs and keys that were changed, and the key of another circuit", async () => {
    const open = await openPage();
    const tampered = risk.proof(VALUES, { publicValues: PUBLIC_VALUES.with(1, "17") });
    expect(await open.verdict(tampered, risk.key)).toMatch(
      /Not valid\n+The proof does not prove these public values[\s\S]*proof-invalid/,
    );
    expect(await open.page.isVisible("#proved")).toBe(false);
    // A proof of something else, with the public values of the valid one.
    const otherProof = JSON.parse(readFileSync(risk.proof(VALUES.with(1, 17n)), "utf8")).proof;
    const swapped = risk.proof(VALUES, { proof: otherProof });
    expect(await open.verdict(swapped, risk.key)).toContain("proof-invalid");
    const other = proofFixture(folder, RISK, { seed: 9 });
    expect(await open.verdict(valid, other.key)).toMatch(
      /The proof says it is of the verifying key [\s\S]*circuits\/exact is wanted\. verifying-key-mismatch/,
    );
    const misnamed = risk.proof(VALUES, { modelCommitment: "00".repeat(32) });
    expect(await open.verdict(misnamed, risk.key)).toContain("model-commitment-mismatch");
  });

  it("warns of a development set-up, and shows inputs that are committed to or hidden", async () => {
    const hidden: CircuitSchema = { ...RISK, inputMode: "committed", hasContext: false };
    const development = proofFixture(folder, hidden, { seed: 2, setup: "dev-single-party" });
    const { page, verdict, titled } = await openPage();
    await verdict(development.proof([-16n, 16n, 77n]), development.key);
    expect(await titled("Valid, for development only")).toContain("can forge proofs");
    expect(await seenText(page.locator("#setup"))).toMatch(/^DEVELOPMENT SET-UP/);
    expect(await seenText(page.locator("#proved"))).toMatch(/those of this commitment[\s\S]*\n77$/);
    expect(await seenText(page.locator("#found-context"))).toBe("Found none");
    const secret = proofFixture(folder, { ...hidden, inputMode: "private" }, { seed: 3 });
    await verdict(secret.proof([-16n, 16n]), secret.key);
    expect(await titled("Valid")).not.toContain("forge");
    expect(await seenText(page.locator("#proved"))).toContain("some inputs give this output");
  });

  it("says what a wrong file is, and takes dropped files by what they are", async () => {
    const { page, titled, note } = await openPage();
    await page.setInputFiles("#proof-file", risk.key);
    await page.locator("#proof-note.fault").waitFor();
    expect(await note("proof")).toContain("This file is a verifying key, not a proof. ");
    await page.setInputFiles("#key-file", valid);
    await page.locator("#key-note.fault").waitFor();
    expect(await note("key")).toContain("This file is a proof, not a verifying key. ");
    await page.setInputFiles("#key-file", file("garbage.json", "}{"));
    await page.getByText("This file is not JSON").waitFor();
    await page.setInputFiles("#key-file", file("large.json", new Uint8Array(100 * 1024 * 1024)));
    await page.getByText("It has 100 MiB and was not read").waitFor();
    await titled("Waiting for files");
    await drop(page, [risk.key, valid]);
    await titled("Valid");
    expect(await note("proof")).toContain("Proof of row 1, 4 public values.");
    expect(await note("key")).toContain("Verifying key of a ceremony.");
  });

  it("shows names that would be markup or turn the text as the text that they are", async () => {
    const nasty = "<img src=x onerror=alert(1)>\u202e";
    const schema = { ...RISK, output: { ...RISK.output, name: nasty, classLabels: ["a", nasty] } };
    const fixture = proofFixture(folder, schema, { seed: 5 });
    const { page, titled } = await openChecked(fixture, fixture.proof(VALUES));
    await titled("Valid");
    const shown = nasty.replace("\u202e", "\ufffd");
    expect(await seenText(page.locator("#proved h3").first())).toBe(`Output ${shown}`);
    expect(await page.locator("#proved tbody th").allInnerTexts()).toEqual(["a", shown]);
    expect(await page.locator("img").count()).toBe(0);
  });

  it("shows many values when it is asked for them", async () => {
    const [x] = RISK.inputs;
    const wide = { ...RISK, inputs: [{ ...x!, shape: [28, 28] }] };
    const fixture = proofFixture(folder, wide, { seed: 6 });
    const pixels = Array.from({ length: 784 }, (_, i) => i % 256);
    const proof = fixture.proof([-16n, 16n, ...packValues(pixels, 8), 0x0a1bn]);
    const { page, titled } = await openChecked(fixture, proof);
    await titled("Valid");
    const values = page.locator("#proved .values li");
    expect(await values.count()).toBe(100);
    await page.getByRole("button", { name: "Show all 784 values" }).press("Enter");
    expect(await values.count()).toBe(784);
    expect(await seenText(values.last())).toMatch(/^783\s+7.5$/);
  });

  it("is reached with the keyboard alone, and fits a telephone", async () => {
    const { page, titled } = await openChecked();
    await titled("Valid");
    await page.setViewportSize({ width: 390, height: 800 });
    const seen: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      await page.keyboard.press("Tab");
      seen.push(
        await page.evaluate(() => String(Reflect.get(globalThis, "document").activeElement.id)),
      );
    }
    const order = ["proof-file", "key-file", "expect-modelCommitment", "expect-vkHash"];
    expect(seen.filter((id) => order.includes(id)).slice(0, order.length)).toEqual(order);
    const [content, screen] = await page.evaluate(() => {
      const { documentElement } = Reflect.get(globalThis, "document");
      return [documentElement.scrollWidth, documentElement.clientWidth];
    });
    expect(content).toBe(screen);
    for (const id of order) {
      expect(await page.locator(`label[for="${id}"]`).count()).toBe(1);
    }
  });
});

/** Drops files on the page, as from a folder beside the browser. */
async function drop(page: Page, paths: readonly string[]): Promise<void> {
  const files = paths.map((path) => ({
    name: path.split("/").at(-1)!,
    text: readFileSync(path, "utf8"),
  }));
  const transfer = await page.evaluateHandle((given) => {
    const all = new (Reflect.get(globalThis, "DataTransfer"))();
    for (const { name, text } of given) all.items.add(new File([text], name));
    return all;
  }, files);
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}
