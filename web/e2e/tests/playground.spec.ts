import { elsewhere, expect, signedIn, test, useServer } from "../support/test";

const server = useServer();
const NEAR = "near@halisoft.example";

test("an invoice is analyzed, the answer sent as it is written", async ({ page }) => {
  await signedIn(page, server(), NEAR);
  await page.goto(`${server().url}/playground`);
  await page.getByRole("link", { name: /Invoice OCR/ }).click();
  await expect(page.getByRole("heading", { level: 1, name: /Invoice OCR/ })).toBeVisible();

  const meter = page.getByRole("region", { name: "Quota" }).getByRole("meter").first();
  const before = Number(await meter.getAttribute("aria-valuenow"));
  const answered = page.waitForResponse((response) => response.url().includes("/api/ai/invoice-ocr/"));
  await page.getByRole("button", { name: "Run" }).click();
  const answer = await answered;
  expect(answer.headers()["content-type"]).toContain("text/event-stream");

  await expect(page.getByRole("status").filter({ hasText: "Done" })).toBeVisible();
  await expect(page.getByText("Demo answer:")).toBeVisible();
  await expect(page.getByRole("group", { name: "Cost of this run" })).toContainText("tokens in");
  await expect(meter).toHaveAttribute("aria-valuenow", String(before + 1));
  await page.getByRole("tab", { name: "JSON" }).click();
  const raw = await page.getByRole("tabpanel", { name: "JSON" }).textContent();
  const shown = JSON.parse(raw ?? "");
  expect(Object.keys(shown).length).toBeGreaterThan(1);

  // The demo answers at once; that a slow text shows before its end is proven in streaming.spec.ts.
  const events = eventsOf(await answer.text());
  const deltas = events.slice(1, -1);
  expect(events.map(({ event }) => event)).toEqual(["start", ...deltas.map(() => "delta"), "done"]);
  expect(deltas.length).toBeGreaterThan(1);
  expect(JSON.parse(deltas.map(({ data }) => data.text).join(""))).toEqual(shown);
});

function eventsOf(stream: string) {
  return [...stream.matchAll(/event: ?(\w+)\ndata: ?(.+)\n/g)].map(([, event, data]) => ({
    event,
    data: JSON.parse(data ?? ""),
  }));
}

test.describe("files", () => {
  test.use({ expected: [/ERR_FAILED/] });

  test("go inside the input", async ({ page }) => {
    await signedIn(page, server(), NEAR);
    await page.goto(`${server().url}/playground/invoice-ocr`);
    await page.getByText("Files", { exact: true }).first().click();
    const png = Buffer.from("89504e470d0a1a0a", "hex");
    await page.locator('input[type="file"]').setInputFiles({ name: "bill.png", mimeType: "image/png", buffer: png });
    await expect(page.getByText("bill.png")).toBeVisible();
    // The server's opinion of this stub of a picture does not matter here.
    await page.route("**/api/ai/**", (route) => route.abort());
    const sent = page.waitForRequest("**/api/ai/**");
    await page.getByRole("button", { name: "Run" }).click();
    expect((await sent).postDataJSON()).toEqual({ files: [{ mediaType: "image/png", data: png.toString("base64") }] });
    await expect(page.getByRole("alert")).toContainText("could not be reached");
  });
});

test.describe("at the limit", () => {
  test.use({ expected: [/status of 429/] });

  test("a run opens the dialog with what was used and when it resets", async ({ page, playwright }) => {
    const request = await playwright.request.newContext();
    const other = await elsewhere(request, server(), NEAR);
    const { used, limit } = await other.used("invoice_ocr");
    expect(await other.consume("invoice_ocr", limit - used)).toBe(200);
    expect(await other.consume("invoice_ocr", 1)).toBe(429);

    await signedIn(page, server(), NEAR);
    await page.goto(`${server().url}/playground/invoice-ocr`);
    const run = page.getByRole("button", { name: "Run" });
    await run.click();
    const dialog = page.getByRole("dialog", { name: "You've reached your limit" });
    await expect(dialog).toContainText("100 / 100");
    await expect(dialog).toContainText("Over limit");
    await expect(dialog).toContainText(/Resets .+\(.+\)/);
    await expect(dialog.getByText("Upgrade plan")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(dialog).toHaveCount(0);
    await expect(run).toBeFocused();

    // The refusal stays readable, and the dialog can be had again.
    await expect(page.getByRole("alert")).toContainText(/Request \S+/);
    await page.getByRole("button", { name: "See your options" }).click();
    await expect(dialog).toBeVisible();
    await dialog.getByRole("button", { name: "Close" }).click();
    await expect(page.getByRole("button", { name: "See your options" })).toBeFocused();
    await request.dispose();
  });
});
