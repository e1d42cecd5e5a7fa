// What `plinth up` prints once it serves: where it is, and lines to paste that return a prediction.

import type { Mesh } from "./app.ts";

/** A flight of the example; small enough for a command line. */
const ROW = '{"hour":12,"day_of_week":2,"distance":2079,"origin":"DTW","destination":"SFO"}';

/** The same question to the model that reads what else it needs from the feature store. */
const ENTITY =
  "--entity origin=ATL --entity destination=JFK --entity departure=2001-06-30T18:00:00Z";

export interface BannerFacts {
  /** Whether calls without a key pass. */
  readonly open: boolean;
  /** Whether the example deployment is there to be called. */
  readonly example: boolean;
  /** The certificate of the gRPC port; absent: plain text. */
  readonly tlsCert?: string | undefined;
}

/** The lines of the banner. */
export function upBanner(
  mesh: Pick<Mesh, "grpcAddress" | "webAddress">,
  facts: BannerFacts,
): readonly string[] {
  const { grpcAddress, webAddress } = mesh;
  return [
    "",
    `  gRPC  ${grpcAddress}${facts.tlsCert === undefined ? "" : " (TLS)"}`,
    `  web   http://${webAddress}   (/console, /v2, /readyz, /metrics)`,
    "",
    facts.open
      ? "  Open: no API key exists, so every call from this machine is let in. " +
        "`plinth keys create` closes it."
      : "  Closed: calls need an API key (--api-key, PLINTH_API_KEY or the authorization header).",
    "",
    ...(facts.example ? exampleLines(mesh, facts) : []),
  ];
}

function exampleLines(
  { grpcAddress, webAddress }: Pick<Mesh, "grpcAddress" | "webAddress">,
  { open, tlsCert }: BannerFacts,
): readonly string[] {
  const request = `{"deployment":"flights","rows":[${ROW}]}`;
  const address = grpcAddress === "127.0.0.1:50051" ? "" : ` --address ${grpcAddress}`;
  const trust = tlsCert === undefined ? "" : ` --tls-ca ${tlsCert}`;
  const transport = tlsCert === undefined ? "-plaintext" : `-cacert ${tlsCert}`;
  const key = open ? "" : ' -H "authorization: Bearer $PLINTH_API_KEY"';
  return [
    "  Predict how late a flight will be:",
    "",
    `  npx plinth predict flights --row '${ROW}'${address}${trust}`,
    "",
    `  grpcurl ${transport}${key} -d '${request}' \\`,
    `    ${grpcAddress} plinth.inference.v1.InferenceService/Predict`,
    "",
    `  curl -s${key} -H 'content-type: application/json' -d '${request}' \\`,
    `    http://${webAddress}/plinth.inference.v1.InferenceService/Predict`,
    "",
    "  By entity key, with features from the store:",
    "",
    `  npx plinth predict flights-live ${ENTITY}${address}${trust}`,
    "",
  ];
}
