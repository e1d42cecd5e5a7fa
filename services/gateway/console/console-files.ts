// The console: pages for people, served as files that hold no data and so need no key. Only what is
// listed here is served, by exact path. Everything is made at the first request, not at the start.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { HttpFailure } from "../failure.ts";
import type { RestAnswer } from "../rest-routes.ts";
import { moduleGraph } from "./module-graph.ts";

export const CONSOLE = "/console/";

const MODULES = `${CONSOLE}modules/`;
const FOLDER = new URL("./page/", import.meta.url);

/**
 * What every page is held to by the browser: it runs our modules and nothing else, shows no foreign
 * content, is shown in no frame and sends no form. `connect-src` differs: see below.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
];

const HEADERS = {
  // What is kept is asked about before it is used, so a new version of Plinth is seen at once.
  "cache-control": "no-cache",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

type Files = ReadonlyMap<string, RestAnswer>;

export interface ConsoleOptions {
  /** Whether there is a proofs service to load proofs from. */
  readonly proofs: boolean;
}

/** Gives the file of a path under CONSOLE. @throws HttpFailure 404 where there is none. */
export function consoleFiles(options: ConsoleOptions): (path: string) => Promise<RestAnswer> {
  let files: Promise<Files> | undefined;
  return async (path) => {
    files ??= readFiles(options);
    // What failed is tried again at the next request.
    files.catch(() => {
      files = undefined;
    });
    const file = (await files).get(path);
    if (file === undefined) {
      throw new HttpFailure(404, `The console has no such page. GET ${CONSOLE} lists what it has.`);
    }
    return file;
  };
}

async function readFiles({ proofs }: ConsoleOptions): Promise<Files> {
  const modules = await moduleGraph(fileURLToPath(new URL("verify-page.ts", FOLDER)), MODULES);
  const index = await pageText("index.html");
  const verify = (await pageText("verify.html")).replace(
    "<!-- modules -->",
    // All at once, where each would be asked for when the one that needs it has come.
    [...modules.keys()].map((path) => `<link rel="modulepreload" href="${path}">`).join("\n"),
  );
  const marked = (text: string): string => (proofs ? text : withoutProofs(text));
  const files: [string, RestAnswer][] = [
    [CONSOLE, page(marked(index), "'none'")],
    [`${CONSOLE}verify`, page(marked(verify), "'none'")],
    [`${CONSOLE}console.css`, file("text/css", await pageText("console.css"))],
    ...[...modules].map(([path, code]): [string, RestAnswer] => [
      path,
      file("text/javascript", code),
    ]),
  ];
  if (proofs) {
    files.push([`${CONSOLE}verify/server`, page(fromServer(verify), "'self'")]);
  }
  return new Map(files);
}

function pageText(name: string): Promise<string> {
  return readFile(new URL(name, FOLDER), "utf8");
}

/** The page that may ask this server for a proof; the other one may not ask anybody anything. */
function fromServer(text: string): string {
  return text.replace('data-source="files"', 'data-source="server"');
}

function withoutProofs(text: string): string {
  return text.replace('data-proofs="here"', 'data-proofs="none"');
}

function page(text: string, connect: "'none'" | "'self'"): RestAnswer {
  const policy = [...POLICY, `connect-src ${connect}`].join("; ");
  return file("text/html", text, { "content-security-policy": policy });
}

function file(
  type: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): RestAnswer {
  const body = Buffer.from(text);
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  const contentType = `${type}; charset=utf-8`;
  return {
    status: 200,
    headers: { ...HEADERS, ...headers, "content-type": contentType, etag },
    body,
  };
}
