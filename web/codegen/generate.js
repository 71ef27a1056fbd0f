// Writes the SDK's wire types from the server's committed document.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../openapi.json", import.meta.url);
const target = new URL("../packages/sdk/src/generated/api.ts", import.meta.url);

const document = JSON.parse(await readFile(source, "utf8"));
const types = astToString(await openapiTS(document, { emptyObjectsUnknown: true }));
await mkdir(new URL(".", target), { recursive: true });
await writeFile(target, `// Generated from openapi.json; do not edit.\n${types}`);
