// Questions on the terminal, asked on stderr so that results can go elsewhere. Only commands that
// change or remove a lot ask, and only where somebody can answer.

import { createInterface } from "node:readline/promises";

/** Whether somebody can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** "y" or "yes"; anything else, and the end of the input, is no. */
export async function confirmed(question: string, signal: AbortSignal): Promise<boolean> {
  return /^y(?:es)?$/i.test(await answer(`${question} [y/N] `, signal));
}

/** What was typed, without blanks around it; empty at the end of the input. */
export async function answer(prompt: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // In raw mode the terminal sends no signal for Ctrl-C; it is passed on, so that it ends the run.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const ended = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
  try {
    return (await Promise.race([lines.question(prompt, { signal }), ended])).trim();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    lines.close();
  }
}
