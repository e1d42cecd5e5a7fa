// Callers that send their request, or take their answer, slower than any honest one: each holds a
// place among the requests under way, so each has a time. Streams are exempt; they may take as long
// as they like.

import type { WebRequest, WebResponse } from "./web-port.ts";

/** Calls `refuse`, then cuts the request, when its body is not whole within the time. */
export function timeBody(
  request: WebRequest,
  response: WebResponse,
  limit: { readonly withinMs: number; readonly refuse: () => void },
): void {
  const timer = setTimeout(() => {
    if (!request.complete) {
      limit.refuse();
      request.destroy();
    }
  }, limit.withinMs);
  request.once("end", () => clearTimeout(timer));
  response.once("close", () => clearTimeout(timer));
}

/**
 * To be called when the answer is about to be written: cuts the caller who has not taken it in
 * time.
 */
export function timeAnswer(response: WebResponse, withinMs: number): void {
  const timer = setTimeout(() => {
    if ("stream" in response) {
      response.stream.destroy();
    } else {
      response.destroy();
    }
  }, withinMs);
  response.once("close", () => clearTimeout(timer));
}
