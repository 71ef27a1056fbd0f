import { elsewhere, expect, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";

test("a user signs in and sees the plan and what was used of it", async ({ page }) => {
  await signIn(page, server(), NEAR);
  const card = page.locator('[data-feature="invoice_ocr"]');
  await expect(card).toContainText("87 / 100");
  await expect(card).toContainText("Near limit");
  await expect(card).toContainText("Approaching limit. Consider upgrading.");
  await expect(card).toContainText(/Resets .+\(.+\)/);
  await expect(card.getByRole("meter")).toHaveAttribute("aria-valuenow", "87");
  await expect(page.getByRole("region", { name: "Plan" })).toContainText("Starter");
  // Nearest to its limit first.
  await expect(page.getByRole("meter").first()).toHaveAttribute("aria-valuenow", "87");
});

test("the open page follows use that happens elsewhere, without a reload", async ({ page, playwright }) => {
  await signIn(page, server(), NEAR);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.evaluate(() => Object.assign(window, { kept: true }));
  const request = await playwright.request.newContext();
  const other = await elsewhere(request, server(), NEAR);
  const before = await other.used("invoice_ocr");
  expect(await other.consume("invoice_ocr", 4)).toBe(200);

  const meter = page.locator('[data-feature="invoice_ocr"]').getByRole("meter");
  await expect(meter).toHaveAttribute("aria-valuenow", String(before.used + 4), { timeout: 3_000 });
  await expect(page.locator('[data-feature="invoice_ocr"]')).toContainText(`${before.used + 4} / 100`);
  expect(await page.evaluate(() => "kept" in window)).toBe(true);
  await request.dispose();
});

test("the exact figures are in a tooltip that the keyboard reaches", async ({ page }) => {
  await signIn(page, server(), NEAR);
  await page.getByRole("button", { name: /^Details of Risk/ }).focus();
  await expect(page.getByRole("tooltip")).toContainText("42 / 50 (84 %)");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("tooltip")).toHaveCount(0);
});
