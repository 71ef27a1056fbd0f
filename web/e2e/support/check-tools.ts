import { existsSync } from "node:fs";
import { binaryPath } from "./server";

/** Fails before the first test, with what to do, when the server or the browser is missing. */
export default function checkTools() {
  const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(binaryPath())) {
    throw new Error(`No server at ${binaryPath()}: run "cargo build", or name one in TOLLGATE_BIN.`);
  }
  if (!existsSync(chromium)) {
    throw new Error(`No browser at ${chromium}: run "apt-get install chromium", or name one in CHROMIUM.`);
  }
}
