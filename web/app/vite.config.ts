import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { brotli } from "./build/brotli.ts";
import { schemeScript } from "./build/scheme-script.ts";

const server = process.env.TOLLGATE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  publicDir: false,
  plugins: [react(), schemeScript(), brotli()],
  server: { proxy: { "/api": { target: server, ws: true } } },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    // Nothing inline: the page's CSP allows no inline script and no data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: { input: ["index.html", "admin.html"] },
  },
});
