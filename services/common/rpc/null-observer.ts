// The observer of a server without telemetry: tests and tools.

import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import type { RpcObserver } from "./observer.ts";

const span = trace.wrapSpanContext({ traceId: "", spanId: "", traceFlags: 0 });
const begun = { span, trace: ROOT_CONTEXT };

export const nullObserver: RpcObserver = {
  begin: () => begun,
  end: () => undefined,
  unforeseen: (path, error) => {
    process.stderr.write(`${path} failed: ${error instanceof Error ? error.stack : error}\n`);
  },
};
