import type { Page } from "@playwright/test";
import { elsewhere, expect, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";

// While the server or the network is away, the browser itself complains about each try.
test.use({ expected: [/WebSocket connection|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_/] });

/** Notes each state of the badge from now on, however short. */
async function followBadge(page: Page): Promise<() => Promise<string[]>> {
  await page.locator(".tg-connection").evaluate((badge) => {
    const states: (string | undefined)[] = [];
    Object.assign(window, { states });
    const note = () => states.push((badge as HTMLElement).dataset.state);
    new MutationObserver(note).observe(badge, { attributeFilter: ["data-state"] });
  });
  return () => page.evaluate(() => (window as unknown as { states: string[] }).states);
}

test("the page comes back after a restart, with what was used while it was away", async ({
  context,
  page,
  playwright,
}) => {
  await signIn(page, server(), NEAR);
  const badge = page.locator(".tg-connection");
  const card = page.locator('[data-feature="invoice_ocr"]');
  const meter = card.getByRole("meter");
  await expect(badge).toHaveText("Live");
  const before = Number(await meter.getAttribute("aria-valuenow"));
  const states = await followBadge(page);

  await server().pause();
  // Without a network the page cannot be back before the others have used something.
  await context.setOffline(true);
  await expect(badge).toHaveText("Not up to date");
  await expect(meter).toHaveAttribute("aria-valuenow", String(before));

  await server().resume();
  const request = await playwright.request.newContext();
  const other = await elsewhere(request, server(), NEAR);
  expect(await other.consume("invoice_ocr", 3)).toBe(200);
  await expect(badge).toHaveText("Not up to date");
  await context.setOffline(false);

  await expect(badge).toHaveText("Live");
  await expect(meter).toHaveAttribute("aria-valuenow", String(before + 3));
  // And it is pushed to again.
  expect(await other.consume("invoice_ocr", 2)).toBe(200);
  await expect(card).toContainText(`${before + 5} / 100`);
  const [first, ...others] = await states();
  expect(first).toBe("reconnecting");
  expect(others.at(-1)).toBe("live");
  await request.dispose();
});

test("the page finds a restarted server by itself", async ({ page }) => {
  await signIn(page, server(), NEAR);
  const badge = page.locator(".tg-connection");
  await expect(badge).toHaveText("Live");
  const states = await followBadge(page);
  await server().pause();
  await expect(badge).not.toHaveText("Live");
  await server().resume();
  await expect(badge).toHaveText("Live", { timeout: 20_000 });
  expect((await states())[0]).toBe("reconnecting");
});

test("while the server is away the pages stay, say so, and can be tried again", async ({ page }) => {
  const code = page.waitForResponse(/component-page/);
  await signIn(page, server(), NEAR);
  await (await code).finished();
  await server().pause();
  await page.getByRole("link", { name: "Playground" }).click();
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("The server could not be reached.");
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
  await server().resume();
  await alert.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("link", { name: /Invoice OCR/ })).toBeVisible();
  await expect(alert).toHaveCount(0);
});
