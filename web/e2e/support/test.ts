import { type APIRequestContext, type BrowserContext, test as base, expect, type Page } from "@playwright/test";
import { type Server, type Start, startServer } from "./server";

interface Fixtures {
  /** What the browser complains about although the test provokes it, such as an answer of 429. */
  expected: RegExp[];
  /** Fails the test on any other console error, broken script, CSP violation or foreign request. */
  quiet: undefined;
}

export const test = base.extend<Fixtures>({
  expected: [[], { option: true }],
  quiet: [
    async ({ context, expected }, use) => {
      const complaints = watch(context);
      await use(undefined);
      const real = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)));
      expect(real, "the browser's complaints").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

function watch(context: BrowserContext): string[] {
  const complaints: string[] = [];
  context.on("weberror", (error) => complaints.push(`script: ${error.error().message}`));
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  context.on("request", (request) => {
    const { protocol, hostname, href } = new URL(request.url());
    const own = hostname === "127.0.0.1" || hostname.endsWith(".localhost");
    if (protocol.startsWith("http") && !own) complaints.push(`foreign request: ${href}`);
  });
  return complaints;
}

/** One fresh server for the tests of a file, or of the group that calls this. */
export function useServer(start: () => Start = () => ({})): () => Server {
  let server: Server | undefined;
  test.beforeAll(async () => {
    server = await startServer(start());
  });
  test.afterAll(async () => {
    await server?.stop();
  });
  return () => {
    if (!server) throw new Error("The server has not been started.");
    return server;
  };
}

/** The address of a tenant other than the default one. */
export function ofTenant(slug: string, server: Server): Server {
  const url = new URL(server.url);
  return { ...server, url: `http://${slug}.localhost:${url.port}` };
}

/** Signs in by form, as a person does. */
export async function signIn(page: Page, { url, password }: Server, email: string) {
  await page.goto(url);
  await page.getByRole("textbox", { name: "E-mail" }).fill(email);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
}

/** Gives the browser a session without the form, for tests about other pages. */
export async function signedIn(page: Page, { url, password }: Server, email: string) {
  const answer = await page.request.post(`${url}/api/auth/login`, { data: { email, password, session: "cookie" } });
  expect(answer.status()).toBe(200);
}

/** Another program of the same customer, with a token of its own. */
export async function elsewhere(request: APIRequestContext, { url, password }: Server, email: string) {
  const answer = await request.post(`${url}/api/auth/login`, { data: { email, password } });
  const { accessToken } = await answer.json();
  const headers = { authorization: `Bearer ${accessToken}` };
  return {
    async consume(feature: string, amount: number): Promise<number> {
      const data = { items: [{ feature, amount }] };
      const consumed = await request.post(`${url}/api/usage/consume`, {
        headers: { ...headers, "idempotency-key": crypto.randomUUID() },
        data,
      });
      return consumed.status();
    },
    async used(feature: string): Promise<{ used: number; limit: number }> {
      const quotas = await (await request.get(`${url}/api/usage`, { headers })).json();
      return quotas[feature];
    },
  };
}
