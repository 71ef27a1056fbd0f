import { copyFileSync } from "node:fs";
import { defineConfig } from "vite";

/** React and everything below it stay the host's own. */
const external = [/^react($|\/)/, /^react-dom($|\/)/];

export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    minify: false,
    sourcemap: false,
    lib: {
      entry: {
        "core/index": "src/core/index.ts",
        index: "src/index.ts",
        "components/index": "src/components/index.ts",
        de: "src/de.ts",
      },
      formats: ["es"],
    },
    rollupOptions: {
      external,
      output: {
        chunkFileNames: "shared/[name].js",
        // Core runs on servers too, so only the parts with hooks are marked.
        banner: (chunk) => (chunk.name === "index" || chunk.name === "components/index" ? '"use client";' : ""),
      },
    },
  },
  plugins: [{ name: "styles", closeBundle: () => copyFileSync("src/styles.css", "dist/styles.css") }],
});
