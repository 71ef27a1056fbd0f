import { expect, signedIn, test, useServer } from "../support/test";

const server = useServer();

/** The scripts and styles that a page asks for. */
function assetsOf(page: string): string[] {
  return [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path ?? "");
}

for (const path of ["/", "/admin"]) {
  test(`${path} has a strict policy, boot data and no script of its own`, async ({ request }) => {
    const answer = await request.get(server().url + path);
    const html = await answer.text();
    expect(answer.headers()["cache-control"]).toContain("no-store");
    const policy = answer.headers()["content-security-policy"] ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain("unsafe");

    const [, text] = /<script type="application\/json" id="boot">([^<]*)<\/script>/.exec(html) ?? [];
    const boot = JSON.parse(text ?? "");
    expect(boot).toMatchObject({ tenant: { slug: "halisoft" }, demo: true, user: null });
    expect(policy).toContain(`'nonce-${boot.nonce}'`);

    const inline = [...html.matchAll(/<script(?![^>]*(?:src=|application\/json))/g)];
    expect(inline).toEqual([]);
    expect(html).not.toMatch(/\s(?:style|on\w+)="/);
    expect(html).not.toContain("__TOLLGATE_BOOT__");
  });
}

test("assets are kept for good, compressed, and never a page", async ({ request }) => {
  const html = await (await request.get(server().url)).text();
  const assets = assetsOf(html);
  expect(assets.length).toBeGreaterThan(3);
  for (const path of assets) {
    const answer = await request.get(server().url + path, { headers: { "accept-encoding": "br" } });
    expect(answer.status(), path).toBe(200);
    expect(answer.headers()["cache-control"], path).toContain("immutable");
    expect(answer.headers()["content-encoding"], path).toBe("br");
  }
  expect((await request.get(`${server().url}/assets/missing.js`)).status()).toBe(404);
});

test("the nonce is new for each page, and a signed-in page knows its user", async ({ page }) => {
  const boot = async () => {
    await page.goto(server().url);
    return JSON.parse((await page.locator("#boot").textContent()) ?? "");
  };
  const first = await boot();
  await signedIn(page, server(), "new@halisoft.example");
  const second = await boot();
  expect(second.nonce).not.toBe(first.nonce);
  expect(second.user).toMatchObject({ email: "new@halisoft.example", role: "user" });
});

test("admin code is not sent to the portal", async ({ page }) => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await signedIn(page, server(), "new@halisoft.example");
  await page.goto(`${server().url}/playground`);
  await expect(page.getByRole("link", { name: /Invoice OCR/ })).toBeVisible();
  expect(asked.filter((path) => path.startsWith("/assets/admin"))).toEqual([]);
  expect(asked.filter((path) => path.startsWith("/assets/")).length).toBeGreaterThan(0);
});
