import type { APIRequestContext } from "@playwright/test";
import type { Server } from "../support/server";
import { expect, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";

/** An admin at work with another program. */
async function office(request: APIRequestContext, { url, password }: Server) {
  const data = { email: "admin@halisoft.example", password };
  const { accessToken } = await (await request.post(`${url}/api/auth/login`, { data })).json();
  const headers = { authorization: `Bearer ${accessToken}` };
  const sent = async (method: string, path: string, data?: object) => {
    const answer = await request.fetch(`${url}/api/admin${path}`, { method, headers, data });
    expect(answer.status()).toBe(200);
    return answer.json();
  };
  const [customer] = (await sent("GET", `/customers?q=${NEAR}`)).data;
  return {
    limit: (limitValue: number) => sent("PUT", "/plans/starter/features/invoice_ocr", { limitValue }),
    override: (limitValue: number) => sent("PUT", `/customers/${customer.id}/overrides/invoice_ocr`, { limitValue }),
    rename: (name: string) => sent("PATCH", "/plans/starter", { name }),
    suspend: (suspended: boolean) =>
      sent("PATCH", `/customers/${customer.id}`, {
        suspended,
        ...(suspended && { reason: "Three invoices are unpaid" }),
      }),
    move: (plan: string) => sent("PATCH", `/customers/${customer.id}/subscription`, { plan }),
  };
}

test("an open page follows what an admin changes: limit, own limit, name and plan", async ({ page, playwright }) => {
  await signIn(page, server(), NEAR);
  const card = page.locator('[data-feature="invoice_ocr"]');
  const plan = page.getByRole("region", { name: "Plan" });
  await expect(card).toContainText("87 / 100");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.evaluate(() => Object.assign(window, { kept: true }));
  const request = await playwright.request.newContext();
  const admin = await office(request, server());

  await admin.limit(120);
  await expect(card).toContainText("87 / 120", { timeout: 3_000 });
  await expect(plan).toContainText("120 a month", { timeout: 3_000 });
  await admin.override(150);
  await expect(card).toContainText("87 / 150", { timeout: 3_000 });
  await admin.rename("Beginner");
  await expect(plan).toContainText("Beginner", { timeout: 3_000 });
  await admin.move("professional");
  await expect(plan).toContainText("Professional", { timeout: 3_000 });
  await expect(page.locator('[data-feature="contract_review"]')).toBeVisible({ timeout: 3_000 });
  expect(await page.evaluate(() => "kept" in window)).toBe(true);
  await request.dispose();
});

test("an open page says that its account is suspended, and that it is no more", async ({ page, playwright }) => {
  await signIn(page, server(), NEAR);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.evaluate(() => Object.assign(window, { kept: true }));
  const request = await playwright.request.newContext();
  const admin = await office(request, server());
  const banner = page.getByText("This account is suspended");
  await expect(banner).toBeHidden();
  await admin.suspend(true);
  await expect(banner).toBeVisible();
  await expect(page.locator('[data-feature="invoice_ocr"]')).toContainText("/ 1");
  await admin.suspend(false);
  await expect(banner).toBeHidden();
  expect(await page.evaluate(() => "kept" in window)).toBe(true);
  await request.dispose();
});
