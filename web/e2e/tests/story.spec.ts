import { elsewhere, expect, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";

test.use({ expected: [/status of 429/] });

test("from 87 to 100: every use moves the open page, and the 101st is refused", async ({
  context,
  page,
  playwright,
}) => {
  const overview = await context.newPage();
  await signIn(overview, server(), NEAR);
  const card = overview.locator('[data-feature="invoice_ocr"]');
  await expect(card).toContainText("87 / 100");
  await expect(overview.getByText("Live", { exact: true })).toBeVisible();
  await overview.evaluate(() => Object.assign(window, { kept: true }));

  await page.goto(`${server().url}/playground/invoice-ocr`);
  const run = page.getByRole("button", { name: "Run" });
  const meter = page.getByRole("region", { name: "Quota" }).getByRole("meter");
  for (const used of [88, 89, 90]) {
    await run.click();
    await expect(meter).toHaveAttribute("aria-valuenow", String(used));
    await expect(page.getByRole("status").filter({ hasText: "Done" })).toBeVisible();
    await expect(card).toContainText(`${used} / 100`, { timeout: 3_000 });
  }

  const request = await playwright.request.newContext();
  const other = await elsewhere(request, server(), NEAR);
  for (let used = 91; used <= 99; used++) {
    expect(await other.consume("invoice_ocr", 1)).toBe(200);
    await expect(card).toContainText(`${used} / 100`, { timeout: 3_000 });
    await expect(meter).toHaveAttribute("aria-valuenow", String(used), { timeout: 3_000 });
  }
  await expect(card).toContainText("Near limit");

  await run.click();
  await expect(card).toContainText("100 / 100", { timeout: 3_000 });
  await expect(card).toContainText("Over limit");
  await expect(overview.getByRole("alert")).toContainText("Over limit: Invoice OCR & Analysis");
  await expect(page.getByRole("dialog")).toHaveCount(0);

  await run.click();
  const dialog = page.getByRole("dialog", { name: "You've reached your limit" });
  await expect(dialog).toContainText("Invoice OCR & Analysis is used up");
  await expect(dialog).toContainText("100 / 100");
  await expect(dialog).toContainText(/Resets .+\(.+\)/);
  await expect(dialog).toContainText("Professional: 1,000 analyses");
  await expect(dialog.getByRole("button", { name: "Upgrade plan" })).toBeVisible();
  expect(await other.consume("invoice_ocr", 1)).toBe(429);
  expect(await other.used("invoice_ocr")).toMatchObject({ used: 100, limit: 100, reserved: 0 });
  await expect(card).toContainText("100 / 100");
  expect(await overview.evaluate(() => "kept" in window)).toBe(true);
  await request.dispose();
});
