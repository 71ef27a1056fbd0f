// Sums what the steps of `make test` ran: a table of steps, then `N passed, N failed` as the last line.
//   node scripts/count.mjs RESULTS    lines of name, exit status, seconds and COUNT, separated by tabs
// COUNT is `none`, `one`, or KIND:FILE with a kind of `readers`.
import { existsSync, readFileSync } from "node:fs";

const sum = (text, pattern) => [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0);

const readers = {
  junit: (text) => {
    const root = /<testsuites\b[^>]*>/.exec(text)?.[0] ?? "";
    const failed = sum(root, /\b(?:failures|errors)="(\d+)"/g);
    return { passed: sum(root, /\btests="(\d+)"/g) - failed, failed };
  },
  libtest: (text) => ({
    passed: sum(text, /^test result: .*?(\d+) passed/gm),
    failed: sum(text, /^test result: .*?(\d+) failed/gm),
  }),
  vitest: (text) => ({
    passed: sum(text, /^\s*Tests\s.*?(\d+) passed/gm),
    failed: sum(text, /^\s*Tests\s.*?(\d+) failed/gm),
  }),
  playwright: (text) => {
    const { expected, unexpected, flaky } = JSON.parse(text).stats;
    return { passed: expected, failed: unexpected + flaky };
  },
};

/** A failed step counts as at least one failure, and a step that should have run tests but did not is a failure. */
function count(status, where) {
  if (where === "none") return { passed: 0, failed: status === 0 ? 0 : 1 };
  if (where === "one") return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  const [, kind, file] = /^(\w+):(.*)$/.exec(where);
  const { passed, failed } = existsSync(file) ? readers[kind](readFileSync(file, "utf8")) : { passed: 0, failed: 0 };
  const reported = kind === "libtest" || passed + failed > 0;
  return { passed, failed: status === 0 && reported ? failed : Math.max(failed, 1) };
}

const total = { passed: 0, failed: 0 };
console.log("\nstep            seconds  passed  failed");
for (const line of readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean)) {
  const [name, status, seconds, where] = line.split("\t");
  const { passed, failed } = count(Number(status), where);
  total.passed += passed;
  total.failed += failed;
  const cells = [seconds, passed, failed].map((cell) => String(cell).padStart(7));
  console.log(`${name.padEnd(15)} ${cells.join(" ")}${failed > 0 ? "  FAILED" : ""}`);
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
