import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

const SOURCE = "/src/scheme.js";

/** Emits the color-scheme script as a hashed asset: it must run before the bundle, and so is not part of it. */
export function schemeScript(): Plugin {
  const code = readFileSync(new URL("../src/scheme.js", import.meta.url), "utf8");
  const fileName = `assets/scheme-${createHash("sha256").update(code).digest("hex").slice(0, 8)}.js`;
  return {
    name: "scheme-script",
    apply: "build",
    generateBundle() {
      this.emitFile({ type: "asset", fileName, source: code });
    },
    transformIndexHtml: {
      order: "pre",
      handler: (html) => html.replace(`<script src="${SOURCE}">`, `<script src="/${fileName}" vite-ignore>`),
    },
  };
}
