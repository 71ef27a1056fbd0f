import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const sdk = (path: string) => fileURLToPath(new URL(`packages/sdk/src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    // Tests run against the SDK's sources, so that they need no build.
    alias: [
      { find: "@tollgate/react/core", replacement: sdk("core/index.ts") },
      { find: "@tollgate/react/components", replacement: sdk("components/index.ts") },
      { find: "@tollgate/react/de", replacement: sdk("de.ts") },
      { find: /^@tollgate\/react$/, replacement: sdk("index.ts") },
    ],
  },
  test: {
    include: ["packages/sdk/test/**/*.test.{ts,tsx}", "app/test/**/*.test.{ts,tsx}"],
    environment: "happy-dom",
    env: { TZ: "UTC" },
    retry: 0,
  },
});
