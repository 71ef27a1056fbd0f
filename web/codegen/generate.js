// Writes the SDK's wire types from the server's committed document.
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const served = new URL("../../openapi.json", import.meta.url);
const draft = new URL("./openapi.draft.json", import.meta.url);
const source = existsSync(served) ? served : draft;
const target = new URL("../packages/sdk/src/generated/api.ts", import.meta.url);

const types = astToString(await openapiTS(source));
await mkdir(new URL(".", target), { recursive: true });
await writeFile(
  target,
  `// Generated from ${source === served ? "openapi.json" : "the draft"}; do not edit.\n${types}`,
);
