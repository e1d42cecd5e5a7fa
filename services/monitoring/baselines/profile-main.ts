// A process that makes one profile of one file: it takes the task over the IPC channel, answers and
// ends. It ends when its parent does.

import { isForeseen, statusBytes, toStatus } from "../../common/errors/status.ts";
import { encodeProfile } from "../sketch/column-profile.ts";
import { makeProfile, type ProfileTask } from "./make-profile.ts";
import type { ProfileAnswer } from "./profile-process.ts";

process.once("message", (task: ProfileTask) => {
  void work(task);
});

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

async function work(task: ProfileTask): Promise<void> {
  const answer = await answerTo(task);
  process.send?.(answer, () => process.exit());
}

async function answerTo(task: ProfileTask): Promise<ProfileAnswer> {
  try {
    return { profile: encodeProfile(await makeProfile(task)) };
  } catch (error) {
    const status = isForeseen(error) ? statusBytes(toStatus(error)) : undefined;
    return { status, cause: String((error as Error).stack ?? error) };
  }
}
