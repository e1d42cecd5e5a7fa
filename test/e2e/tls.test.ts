// A mesh behind a certificate: its services still reach each other, clients must trust the authority.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { spawnPlinth } from "./use-child-mesh.ts";
import { useMesh } from "./use-mesh.ts";

const ROW = { hour: 12, day_of_week: 2, distance: 2079, origin: "DTW", destination: "SFO" };

async function certificate(): Promise<{ readonly cert: string; readonly key: string }> {
  const folder = await useFolder();
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
    ...["-keyout", key, "-out", cert],
  ]);
  return { cert, key };
}

describe("TLS", () => {
  it("serves those who trust the certificate, and the mesh within itself", async () => {
    const { cert, key } = await certificate();
    const mesh = await useMesh({ PLINTH_TLS_CERT: cert, PLINTH_TLS_KEY: key });
    await mesh.seed();
    const address = mesh.grpcAddress.replace("127.0.0.1", "localhost");
    const trusting = new Channel({ address, tlsCa: readFileSync(cert) });
    onTestFinished(() => trusting[Symbol.dispose]());
    const client = createClient(InferenceService, trusting);
    const { predictions } = await client.predict({ deployment: "flights", rows: [ROW] });
    expect(predictions).toHaveLength(1);

    const plain = createClient(InferenceService, mesh.channel);
    await expect(plain.predict({ deployment: "flights" })).rejects.toMatchObject({
      kind: "Unavailable",
    });

    const words = ["predict", "flights", "--row", JSON.stringify(ROW), "--address", address];
    const told = spawnPlinth([...words, "--tls-ca", cert, "--quiet"]);
    await once(told.child, "exit");
    expect(told.stderr()).toBe("");
    expect(told.child.exitCode).toBe(0);
    const web = await fetch(`${mesh.webUrl}/v2/models/flights`);
    expect(await web.json()).toMatchObject({ name: "flights" });
  });

  it("does not start with half of a certificate", async () => {
    const { cert } = await certificate();
    await expect(useMesh({ PLINTH_TLS_CERT: cert })).rejects.toThrow(/PLINTH_TLS_KEY go together/);
  });
});
