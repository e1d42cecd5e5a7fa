// For tests: a thread that reads files which may never end to be read. It answers each path with
// the kind and text of the error; an empty text where there was none.

import { parentPort } from "node:worker_threads";
import { DomainError } from "../../../common/errors/domain-error.ts";
import { makeProfile } from "../make-profile.ts";
import { FIXTURE_COLUMNS } from "./rows.ts";

parentPort?.on("message", async (path: string) => {
  let answer = "";
  try {
    await makeProfile({ path, columns: FIXTURE_COLUMNS, excluded: [] });
  } catch (error) {
    answer = error instanceof DomainError ? `${error.kind}: ${error.message}` : String(error);
  }
  parentPort?.postMessage(answer);
});
