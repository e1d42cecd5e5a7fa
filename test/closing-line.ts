// A reporter that ends a test run with one plain line, "N passed, N failed, N skipped", which a
// script can read whatever the other reporters print.

import type { Reporter, TestModule } from "vitest/node";

export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    let skipped = 0;
    for (const module of modules) {
      if (!module.ok() && [...module.children.allTests()].every((t) => t.ok())) {
        failed += 1;
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        passed += state === "passed" ? 1 : 0;
        failed += state === "failed" ? 1 : 0;
        skipped += state === "skipped" ? 1 : 0;
      }
    }
    process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  }
}
