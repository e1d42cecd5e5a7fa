// The console before a real mesh that is closed with keys: the pages are served to everybody, and a
// real proof of an example is fetched by name with a key, or checked from its files without one.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import { ExportCircuitRequest_File as File } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofJob_State } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { heldOutExamples } from "../e2e/held-out.ts";
import { exportText, makeCircuit } from "../e2e/use-circuits.ts";
import { EXAMPLES, shareMesh } from "../e2e/use-mesh.ts";
import { clientsOn, pushModel } from "../e2e/use-models.ts";
import { describeInBrowser, useChromium } from "./chromium.ts";
import { seenText } from "./seen-text.ts";

const shared = shareMesh();
const folder = mkdtempSync(join(tmpdir(), "plinth-console-"));
const data = heldOutExamples().find(({ deployment }) => deployment === "breast-cancer")!;
const [name, tensor] = Object.entries(data.inputs)[0]!;
const floats = tensor.data.map(Number);
const width = tensor.shape[1]!;

const files = { proof: join(folder, "proof.json"), key: join(folder, "verifying-key.json") };
let proofName: string;
let apiKey: string;

beforeAll(async () => {
  const clients = clientsOn(shared.current.channel);
  const bytes = readFileSync(join(EXAMPLES, "breast-cancer", "logistic.onnx"));
  const version = await pushModel(clients, "tumour", bytes);
  const circuit = await makeCircuit(clients, {
    parent: version.name,
    options: { context: true },
    calibration: { rows: tensor.shape[0]!, inputs: [{ name, floats }] },
  });
  const started = await clients.proofs.proveInference({
    circuit,
    rows: 1,
    inputs: [{ name, floats: floats.slice(0, width) }],
    context: Uint8Array.of(0x0a, 0x11, 0xff),
    inferenceId: "order-7",
  });
  for await (const _ of clients.proofs.watchProof({ name: started.name }));
  const job = await clients.proofs.getProofJob({ name: started.name });
  expect(job.state).toBe(ProofJob_State.SUCCEEDED);
  proofName = job.rows[0]!.proof;
  writeFileSync(files.proof, (await clients.proofs.exportProof({ name: proofName })).file);
  writeFileSync(files.key, await exportText(clients, circuit, File.VERIFYING_KEY));
  const key = { displayName: "root", roles: [Role.ADMIN] };
  // From here on the mesh is closed.
  apiKey = (await clients.keys.createApiKey({ parent: "workspaces/-", apiKey: key })).secret;
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeInBrowser("the console of a mesh that is closed with keys", () => {
  it("checks a real proof of an example from its files, without a key", async () => {
    const page = await (await useChromium()).newPage();
    await page.goto(`${shared.current.webUrl}/console/verify`);
    await page.setInputFiles("#proof-file", files.proof);
    await page.setInputFiles("#key-file", files.key);
    await page.fill("#expect-context", "0a11ff");
    await page.getByText("1 of 5 values were compared, and are as expected.").waitFor();
    expect(await seenText(page.locator("#verdict h2"))).toBe("Valid, for development only");
    const values = await page.locator("#proved .values .value").allInnerTexts();
    expect(values).toHaveLength(width);
    values.forEach((text, i) => {
      const column = floats.filter((_, at) => at % width === i).map(Math.abs);
      // 16 bits hold four to eight times the largest that was seen of a column.
      const tolerance = Math.max(...column) * 2 ** -14;
      expect(Math.abs(Number(text) - floats[i]!)).toBeLessThanOrEqual(tolerance);
    });
    expect(await seenText(page.locator("#said"))).toContain("order-7");
  });

  it("fetches a proof and its key by the proof's name, with an API key", async () => {
    const page = await (await useChromium()).newPage();
    await page.goto(`${shared.current.webUrl}/console/`);
    await page.getByRole("link", { name: "Check a proof of this server" }).click();
    const fetchWith = async (proof: string, secret: string): Promise<void> => {
      await page.getByLabel("Proof", { exact: true }).first().fill(proof);
      await page.getByLabel("API key").fill(secret);
      await page.getByRole("button", { name: "Fetch proof and key" }).click();
    };
    await fetchWith(proofName, "");
    await page.getByText("Give an API key that may read proofs.").waitFor();
    await fetchWith(`workspaces/default/proofs/${"0".repeat(64)}`, apiKey);
    await page.locator("#server-note.fault", { hasText: "0000" }).waitFor();
    // Its id alone is of the workspace "default".
    await fetchWith(proofName.split("/").at(-1)!, apiKey);
    await page.getByText("Compare the hashes below").waitFor();
    await page.locator("#verdict h2", { hasText: "Valid, for development only" }).waitFor();
    expect(await seenText(page.locator("#said"))).toContain(proofName.split("/").at(-1)!);
  });
});
