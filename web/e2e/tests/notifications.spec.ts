import type { APIRequestContext, Page } from "@playwright/test";
import { elsewhere, expect, signedIn, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";
const bell = (page: Page) => page.getByRole("button", { name: /^Notifications/ });

/** Calls the API as somebody. */
async function as(request: APIRequestContext, at: { url: string; password: string }, email: string) {
  const answer = await request.post(`${at.url}/api/auth/login`, { data: { email, password: at.password } });
  const { accessToken } = await answer.json();
  return { headers: { authorization: `Bearer ${accessToken}` } };
}

test("the bell counts what comes in, live, and what is read is read", async ({ page, playwright }) => {
  await signIn(page, server(), NEAR);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await expect(bell(page)).toHaveAccessibleName("Notifications");
  const request = await playwright.request.newContext();
  const other = await elsewhere(request, server(), NEAR);
  expect(await other.consume("invoice_ocr", 3)).toBe(200);
  await expect(bell(page)).toHaveAccessibleName("Notifications, 1 unread");
  await expect(page.getByRole("status").filter({ hasText: "Notifications, 1 unread" })).toHaveCount(1);

  await bell(page).click();
  const panel = page.getByRole("dialog", { name: "Notifications" });
  await expect(panel).toBeFocused();
  await expect(panel).toContainText("90% of Invoice OCR & Analysis used");
  await expect(panel).toContainText("90 / 100");
  await page.keyboard.press("Escape");
  await expect(panel).toHaveCount(0);
  await expect(bell(page)).toBeFocused();

  await bell(page).click();
  await panel.getByRole("link", { name: "All notifications" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Notifications" })).toBeFocused();
  const rows = page.getByRole("main").getByRole("listitem");
  await expect(rows).toHaveCount(1);
  // The open page hears of the next one, too.
  expect(await other.consume("invoice_ocr", 10)).toBe(200);
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText("Invoice OCR & Analysis is used up");
  await rows
    .first()
    .getByRole("button", { name: /^Mark as read/ })
    .click();
  await expect(bell(page)).toHaveAccessibleName("Notifications, 1 unread");
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await expect(bell(page)).toHaveAccessibleName("Notifications");
  await page.reload();
  await expect(rows).toHaveCount(2);
  await expect(rows.getByRole("button")).toHaveCount(0);
  await expect(bell(page)).toHaveAccessibleName("Notifications");
  await request.dispose();
});

test("a user chooses what to be told, except about money and security", async ({ page }) => {
  await signedIn(page, server(), NEAR);
  await page.goto(`${server().url}/notifications`);
  await page.getByRole("link", { name: "Preferences" }).click();
  const email = page.getByRole("switch", { name: "E-mail: A quota is near its limit" });
  await expect(email).toBeChecked();
  await email.focus();
  await page.keyboard.press("Space");
  await expect(page.getByRole("status").filter({ hasText: "Saved." })).toHaveCount(1);
  await page.reload();
  await expect(email).not.toBeChecked();
  await expect(page.getByRole("switch", { name: "In the app: A quota is near its limit" })).toBeChecked();
  for (const [name, kind, why] of [
    [/about your money/, "Receipts", "has to reach you"],
    [/account's safety/, "New password", "who gets in"],
  ] as const) {
    const locked = page.getByRole("region", { name });
    await expect(locked).toContainText(why);
    await expect(locked.getByRole("listitem").filter({ hasText: kind })).toContainText("E-mail: Always");
    await expect(locked.getByRole("switch")).toHaveCount(0);
  }
});

test("a mail about a quota leads to the plans, and its other link ends such mails", async ({ page, playwright }) => {
  const request = await playwright.request.newContext();
  const NEW = "new@halisoft.example";
  const other = await elsewhere(request, server(), NEW);
  expect(await other.consume("risk_assessment", 45)).toBe(200);
  const admin = await as(request, server(), "admin@halisoft.example");
  const mails = `${server().url}/api/admin/emails`;
  const found = async () => (await (await request.get(`${mails}?q=${NEW}`, admin)).json()).data[0]?.id;
  await expect.poll(found).toBeTruthy();
  const { text } = await (await request.get(`${mails}/${await found()}`, admin)).json();
  const links: string[] = text.match(/http\S+/g);

  await signedIn(page, server(), NEW);
  await page.goto(links[0] ?? "");
  await expect(page.getByRole("heading", { level: 1, name: "Plans" })).toBeVisible();
  await expect(page.locator('[data-plan="starter"]')).toContainText("Your plan");
  await expect(page.locator('[data-plan="professional"]')).toContainText("$799 a month");
  await expect(page.locator('[data-plan="professional"]')).toContainText("$7,990 a year, saves $1,598");
  await expect(page.locator('[data-plan="enterprise"]')).toContainText("By agreement");

  await page.goto(links.find((link) => link.includes("/unsubscribe")) ?? "");
  await page.getByRole("button", { name: "Stop these e-mails" }).click();
  await expect(page.getByRole("heading", { name: "You get no more of these e-mails" })).toBeVisible();
  await page.goto(`${server().url}/notifications/preferences`);
  await expect(page.getByRole("switch", { name: "E-mail: A quota is near its limit" })).not.toBeChecked();
  await request.dispose();
});

test("a tenant that speaks German has all of it in German", async ({ page, playwright }) => {
  const request = await playwright.request.newContext();
  const admin = await as(request, server(), "admin@halisoft.example");
  const settings = `${server().url}/api/admin/settings`;
  expect((await request.patch(settings, { ...admin, data: { locale: "de-DE" } })).status()).toBe(200);
  await signedIn(page, server(), "full@halisoft.example");
  await page.goto(`${server().url}/notifications`);
  await expect(page.getByRole("heading", { level: 1, name: "Mitteilungen" })).toBeVisible();
  await expect(page.getByText("Hier ist noch nichts")).toBeVisible();

  const other = await elsewhere(request, server(), "full@halisoft.example");
  const { used, limit } = await other.used("risk_assessment");
  expect(await other.consume("risk_assessment", limit - used)).toBe(200);
  await expect(page.getByRole("button", { name: "Mitteilungen, 1 ungelesen" })).toBeVisible();
  await expect(page.getByRole("main").getByRole("listitem")).toContainText("Risk Assessment ist aufgebraucht");
  await page.getByRole("link", { name: "Einstellungen" }).click();
  await expect(page.getByRole("heading", { name: "Sie wählen" })).toBeVisible();
  await expect(page.getByRole("main")).not.toContainText(/_|Always|Saved|account/);
  await page.getByRole("link", { name: "Tarife" }).click();
  await expect(page.locator('[data-plan="professional"]')).toContainText("799 $ im Monat");
  await expect(page.getByRole("main")).not.toContainText(/a month|Included|Your|Renews/);
  await request.dispose();
});
