// What `plinth up` prints once it serves: where it is, and lines to paste that return a prediction.

import type { Mesh } from "./app.ts";

/** A flight of the example; small enough for a command line. */
const ROW = '{"hour":12,"day_of_week":2,"distance":2079,"origin":"DTW","destination":"SFO"}';

/** The lines of the banner. `open`: whether calls without a key pass. */
export function upBanner(
  mesh: Pick<Mesh, "grpcAddress" | "webAddress">,
  { open }: { readonly open: boolean },
): readonly string[] {
  const { grpcAddress, webAddress } = mesh;
  const request = `{"deployment":"flights","rows":[${ROW}]}`;
  const address = grpcAddress === "127.0.0.1:50051" ? "" : ` --address ${grpcAddress}`;
  const key = open ? "" : ' -H "authorization: Bearer $PLINTH_API_KEY"';
  return [
    "",
    `  gRPC  ${grpcAddress}`,
    `  web   http://${webAddress}   (/readyz, /metrics, /v2)`,
    "",
    open
      ? "  Open: no API key exists, so every call from this machine is let in. `plinth keys create` closes it."
      : "  Closed: calls need an API key (--api-key, PLINTH_API_KEY or the authorization header).",
    "",
    "  Predict how late a flight will be:",
    "",
    `  npx plinth predict flights --row '${ROW}'${address}`,
    "",
    `  grpcurl -plaintext${key} -d '${request}' \\`,
    `    ${grpcAddress} plinth.inference.v1.InferenceService/Predict`,
    "",
    `  curl -s${key} -H 'content-type: application/json' -d '${request}' \\`,
    `    http://${webAddress}/plinth.inference.v1.InferenceService/Predict`,
    "",
  ];
}
