// For tests of what writes to a disk: disks small enough to fill.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/**
 * An empty disk of this size, or undefined where the system does not let us mount one: a visible skip on
 * a laptop, a failure in CI.
 */
export function useSmallDisk(sizeBytes: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "plinth-disk-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const options = ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder];
    execFileSync("mount", options, { stdio: "ignore" });
  } catch (error) {
    remove();
    if (process.env.CI === "true") {
      throw error;
    }
    return undefined;
  }
  onTestFinished(() => {
    execFileSync("umount", ["-l", folder]);
    remove();
  });
  return folder;
}
