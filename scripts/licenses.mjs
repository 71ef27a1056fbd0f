// Fails when a dependency's licence is not one that an Apache-2.0 product may ship or build with.
//   cargo metadata --format-version 1 | node scripts/licenses.mjs web/package-lock.json
import { readFileSync } from "node:fs";

const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "Apache-2.0 WITH LLVM-exception",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BSL-1.0",
  "CC0-1.0",
  "CDLA-Permissive-2.0",
  "ISC",
  "MIT",
  "MIT-0",
  "MPL-2.0",
  "Python-2.0",
  "Unicode-3.0",
  "Unlicense",
  "Zlib",
]);
/** Packages without a usable licence field, with the licence that their files name. */
const KNOWN = {};

/** An SPDX expression is true or false once each licence in it is; AND binds tighter than OR, as && and || do. */
function allowed(expression) {
  const truth = expression.replaceAll("/", " OR ").replace(/[^()\s]+( WITH [^()\s]+)?/g, (word) => {
    if (word === "AND") return "&&";
    return word === "OR" ? "||" : String(ALLOWED.has(word));
  });
  return Function(`return ${truth}`)();
}

const crates = JSON.parse(readFileSync(0, "utf8")).packages.filter((crate) => crate.source !== null);
const lock = JSON.parse(readFileSync(process.argv[2], "utf8")).packages;
const modules = Object.entries(lock).filter(([path, entry]) => path.includes("node_modules/") && !entry.link);
const all = [
  ...crates.map(({ name, license }) => ({ name, license })),
  ...modules.map(([path, { license }]) => ({ name: path.replace(/^.*node_modules\//, ""), license })),
];
const refused = all.filter(({ name, license }) => !allowed(KNOWN[name] ?? license ?? "none"));
for (const { name, license } of refused) console.error(`${name}: ${license ?? "no licence named"}`);
console.log(`${all.length} packages, ${refused.length} with a licence that is not on the list`);
process.exitCode = refused.length > 0 ? 1 : 0;
