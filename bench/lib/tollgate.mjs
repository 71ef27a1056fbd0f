// A Tollgate server set up for load: demo data, an API key, and the subjects s0 … sN as customers.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { start, stop } from "./process.mjs";

const CALLS_AT_ONCE = 32;
const password = randomBytes(12).toString("base64url");

export function serve({ binary, folder, databaseUrl }) {
  mkdirSync(folder, { recursive: true });
  const args = ["serve", "--demo", "--listen", "127.0.0.1:0", "--data", folder, "--database-url", databaseUrl];
  return start(binary, args, { TOLLGATE_DEMO_PASSWORD: password });
}

export const sqliteUrl = (folder) => `sqlite://${join(folder, "tollgate.db")}`;

/** Starts a server on an empty store and fills it; answers the server and the key for its load. */
export async function setUp({ binary, folder, databaseUrl, subjects }) {
  const server = await serve({ binary, folder, databaseUrl });
  try {
    const accessToken = await signIn(server.url);
    const scopes = ["usage:write", "usage:read", "customers:write", "ai:run"];
    const { key } = await call(server.url, "/api/admin/keys", { name: "bench", scopes }, accessToken);
    await forEachSubject(subjects, (externalId) =>
      call(server.url, "/api/customers", { externalId, plan: "enterprise" }, key),
    );
    await warmUp(server.url, key, subjects);
    return { server, key };
  } catch (failure) {
    await stop(server);
    throw failure;
  }
}

/** Signs the demo's admin in. */
export async function signIn(url) {
  return (await call(url, "/api/auth/login", { email: "admin@halisoft.example", password })).accessToken;
}

/** Uses one unit for each subject, so that no measured request is the first of its customer. */
export function warmUp(url, key, subjects) {
  const items = [{ feature: "invoice_ocr", amount: 1 }];
  return forEachSubject(subjects, (customer) => call(url, "/api/usage/consume", { customer, items }, key));
}

async function forEachSubject(subjects, act) {
  let next = 0;
  const worker = async () => {
    while (next < subjects) await act(`s${next++}`);
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, worker));
}

async function call(url, path, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(url + path, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`POST ${path} answered ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}
