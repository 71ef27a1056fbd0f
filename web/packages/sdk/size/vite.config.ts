import { defineConfig } from "vite";

const entry = process.env.SIZE_ENTRY ?? "everything";

/** What a host's own bundler makes of the package: minified, React left out, unused parts shaken off. */
export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  logLevel: "error",
  build: {
    outDir: "../../../node_modules/.size",
    emptyOutDir: false,
    minify: true,
    lib: { entry: `${entry}.js`, formats: ["es"], fileName: entry },
    rollupOptions: { external: [/^react($|\/)/], output: { minify: true } },
  },
});
