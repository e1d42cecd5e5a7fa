// The script of the page in predict.test.ts that asks for flights by entity key: one line a flight
// with its delay, and below it what became of each feature.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { FieldStatus } from "../../gen/plinth/features/v1/value_pb.js";
import {
  InferenceService,
  type PredictResponse,
} from "../../gen/plinth/inference/v1/inference_service_pb.js";

/** The little of a browser that is used, since the project's types are Node's. */
interface Element {
  textContent: string;
  className: string;
  append(...children: readonly Element[]): void;
}

interface Page {
  readonly location: { readonly search: string };
  readonly document: {
    readonly body: Element;
    createElement(name: string): Element;
  };
}

type Flight = Readonly<Record<string, string>>;

const { location, document } = globalThis as unknown as Page;
const asked = new URLSearchParams(location.search);
const baseUrl = asked.get("gateway") ?? "";
const transport =
  asked.get("protocol") === "grpc-web"
    ? createGrpcWebTransport({ baseUrl })
    : createConnectTransport({
        baseUrl,
        useBinaryFormat: asked.get("protocol") === "binary",
      });

function element(name: string, text: string, className = ""): Element {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

function row(...cells: readonly Element[]): Element {
  const line = document.createElement("tr");
  line.append(...cells);
  return line;
}

function headRow(...titles: readonly string[]): Element {
  return row(...titles.map((title) => element("th", title)));
}

function table(lines: readonly Element[], className: string): Element {
  const whole = element("table", "", className);
  whole.append(...lines);
  return whole;
}

function flightTable(flights: readonly Flight[], { predictions }: PredictResponse): Element {
  const lines = flights.map((flight, index) => {
    const { outputs, error } = predictions[index]!;
    const delay = (outputs?.delay_minutes as number[] | undefined)?.[0];
    const said = delay === undefined ? (error?.message ?? "nothing") : `${delay.toFixed(4)} min`;
    const { origin = "", destination = "" } = flight;
    return row(...[origin, destination, said].map((text) => element("td", text)));
  });
  return table([headRow("from", "to", "late"), ...lines], "flights");
}

function statusTable(flights: readonly Flight[], response: PredictResponse): Element {
  const head = flights.map(({ origin, destination }) => `${origin} ${destination}`);
  const lines = response.featureStatuses.map(({ feature, statuses }) => {
    const names = statuses.map((status) => FieldStatus[status]);
    return row(element("td", feature), ...names.map((name) => element("td", name, name)));
  });
  return table([headRow("feature", ...head), ...lines], "statuses");
}

async function show(): Promise<void> {
  const flights = JSON.parse(asked.get("flights") ?? "[]") as Flight[];
  const client = createClient(InferenceService, transport);
  const response = await client.predict(
    { deployment: "flights-live", entities: flights },
    { timeoutMs: 20_000 },
  );
  const tables = [flightTable(flights, response), statusTable(flights, response)];
  document.body.append(...tables, element("p", `by ${response.featureService}`, "done"));
}

await show().catch((thrown: unknown) => {
  const error = ConnectError.from(thrown);
  document.body.append(element("p", `${Code[error.code]}: ${error.rawMessage}`, "done"));
});
