// Asks this server for a proof and for the verifying key of its circuit, over Connect in JSON: two
// calls, for which no client library is loaded.

const PROOFS = "/plinth.proofs.v1.ProofService/ExportProof";
const CIRCUITS = "/plinth.proofs.v1.CircuitService/ExportCircuit";

/** Of a message in a Connect stream: flags, and a length of four bytes. */
const PREFIX_BYTES = 5;
const END_OF_STREAM = 2;

/** Why the server gave no file, for people. */
export class FetchFailure extends Error {}

/** The file of a proof. @throws FetchFailure */
export async function fetchProof(name: string, apiKey: string): Promise<Uint8Array> {
  const response = await post(PROOFS, {
    type: "application/json",
    body: JSON.stringify({ name }),
    apiKey,
  });
  const answer = objectOf(await response.text());
  if (!response.ok) throw new FetchFailure(reasonOf(answer, response.status));
  return bytesOf(answer.file);
}

/** The file with the verifying key of a circuit. @throws FetchFailure */
export async function fetchKey(circuit: string, apiKey: string): Promise<Uint8Array> {
  const request = new TextEncoder().encode(
    JSON.stringify({ name: circuit, file: "FILE_VERIFYING_KEY" }),
  );
  const body = new Uint8Array(PREFIX_BYTES + request.length);
  new DataView(body.buffer).setUint32(1, request.length);
  body.set(request, PREFIX_BYTES);
  const response = await post(CIRCUITS, { type: "application/connect+json", body, apiKey });
  const answer = new Uint8Array(await response.arrayBuffer());
  if (!response.ok) {
    throw new FetchFailure(reasonOf(objectOf(new TextDecoder().decode(answer)), response.status));
  }
  const chunks: Uint8Array[] = [];
  for (const { flags, message } of messagesOf(answer)) {
    if (flags === END_OF_STREAM) {
      if (message.error !== undefined) throw new FetchFailure(reasonOf(message.error, 0));
    } else if (message.chunk !== undefined) {
      chunks.push(bytesOf(message.chunk));
    }
  }
  return joined(chunks);
}

type Json = Readonly<Record<string, unknown>>;

async function post(
  path: string,
  call: {
    readonly type: string;
    readonly body: string | Uint8Array<ArrayBuffer>;
    readonly apiKey: string;
  },
): Promise<Response> {
  const headers = {
    "content-type": call.type,
    "connect-protocol-version": "1",
    ...(call.apiKey === "" ? {} : { authorization: `Bearer ${call.apiKey}` }),
  };
  try {
    return await fetch(path, { method: "POST", headers, body: call.body });
  } catch {
    throw new FetchFailure("The server does not answer. Files that you have can still be checked.");
  }
}

/** Cut off in the middle, the rest is left out: what is not whole is no verifying key. */
function* messagesOf(
  bytes: Uint8Array<ArrayBuffer>,
): Generator<{ readonly flags: number; readonly message: Json }> {
  let at = 0;
  while (at + PREFIX_BYTES <= bytes.length) {
    const length = new DataView(bytes.buffer, at).getUint32(1);
    const flags = bytes[at]!;
    at += PREFIX_BYTES + length;
    const text = new TextDecoder().decode(bytes.subarray(at - length, at));
    yield { flags, message: objectOf(text) };
  }
}

/** The object of this JSON; an empty one where it is none, as of a proxy's own error page. */
function objectOf(text: string): Json {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Json) : {};
  } catch {
    return {};
  }
}

function reasonOf(error: unknown, status: number): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const text = typeof message === "string" ? message : `It answered with HTTP ${status}.`;
  const isKeyWanted = code === "unauthenticated" || code === "permission_denied";
  return `${text}${isKeyWanted ? " Give an API key that may read proofs." : ""}`;
}

function bytesOf(base64: unknown): Uint8Array {
  if (typeof base64 !== "string") throw new FetchFailure("The server's answer is no file.");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
