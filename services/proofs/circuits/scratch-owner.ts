// Whose work a folder is. Folders of work hold witnesses, which are made of private inputs, so they
// must not outlive the process that made them; several processes, also of several containers, may
// share the place where they are. So each folder's name says who made it: the system that counts the
// process, its number, and which process of that number it was.

import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Of a folder's name: what begins it, and who made it. */
const OWNER = /^([0-9a-f]{16})\.(\d{1,10})\.([0-9a-f]{16}|0)-/;

/** What can be said of an owner from here. "elsewhere": nothing, its process is not ours to see. */
export type OwnerState = "alive" | "dead" | "elsewhere";

/** This process, as the names of its folders begin. */
export function ownMark(): string {
  return `${system()}.${process.pid}.${birthOf(process.pid)}-`;
}

/** What becomes of a folder with this name; undefined: it names no owner. */
export function ownerOf(name: string): OwnerState | undefined {
  const [, where, digits, birth] = OWNER.exec(name) ?? [];
  if (where === undefined) {
    return undefined;
  }
  if (where !== system()) {
    return "elsewhere";
  }
  const pid = Number(digits);
  if (!isThere(pid)) {
    return "dead";
  }
  // Where the system does not tell when a process began, its number may be another one's by now.
  const now = birthOf(pid);
  if (birth === "0" || now === "0") {
    return "elsewhere";
  }
  return birth === now ? "alive" : "dead";
}

/** Who counts processes like we do: the same machine, and there the same container. */
function system(): string {
  return hashed([
    hostname(),
    read("/etc/machine-id"),
    tried(() => readlinkSync("/proc/self/ns/pid")),
  ]);
}

/** When a process began, and since which start of the machine; "0" where nobody tells. */
function birthOf(pid: number): string {
  const [state = "", ticks] = fieldsOf(pid);
  // What has ended and was not yet noticed by its parent holds nothing.
  if (state === "Z" || state === "X") {
    return "ended";
  }
  return ticks === undefined ? "0" : hashed([read("/proc/sys/kernel/random/boot_id"), ticks]);
}

/** State and start time, from after the name, which may have anything in it. */
function fieldsOf(pid: number): readonly [state?: string, ticks?: string] {
  const text = read(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return text === "" || fields.length < 20 ? [] : [fields[0]!, fields[19]!];
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function hashed(parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 16);
}

function read(path: string): string {
  return tried(() => readFileSync(path, "utf8"));
}

function tried(run: () => string): string {
  try {
    return run();
  } catch {
    return "";
  }
}
