import type { Page } from "@playwright/test";
import { useModel } from "../support/model";
import { expect, ofTenant, signIn, test, useServer } from "../support/test";

const model = useModel();
const server = useServer(() => ({ environment: model().environment }));

const stream = (page: Page) => page.getByTestId("stream");
const status = (page: Page) => page.getByRole("region", { name: "Answer" }).getByRole("status");
const meter = (page: Page) => page.getByRole("region", { name: "Quota" }).getByRole("meter");

/** Starts a run and answers how much was used before it. */
async function run(page: Page): Promise<number> {
  const studio = ofTenant("studio", server());
  await signIn(page, studio, "pro@studio.example");
  await page.goto(`${studio.url}/playground/writing-assistant`);
  const used = Number(await meter(page).getAttribute("aria-valuenow"));
  await page.getByRole("button", { name: "Run" }).click();
  return used;
}

test("the text shows while the model still writes it, and is then replaced by the result", async ({ page }) => {
  const before = await run(page);
  const call = await model().call();
  await expect(status(page)).toHaveText("Running…");
  call.write("Dear neighbors, ");
  // The model has not ended, so nothing but the stream can have brought this.
  await expect(stream(page)).toContainText("Dear neighbors,");
  await expect(status(page)).toHaveText("Writing…");
  await expect(page.getByRole("tab", { name: "Result" })).toHaveCount(0);
  call.write("we open on Monday.");
  await expect(stream(page)).toContainText("Dear neighbors, we open on Monday.");

  call.end();
  await expect(status(page)).toHaveText("Done");
  await expect(page.getByRole("tabpanel", { name: "Result" })).toHaveText("Dear neighbors, we open on Monday.");
  await expect(stream(page)).toHaveCount(0);
  await expect(page.getByText("Demo answer:")).toHaveCount(0);
  await expect(meter(page)).toHaveAttribute("aria-valuenow", String(before + 1));
});

test("Stop ends the model's work, keeps what was written and counts what was used", async ({ page }) => {
  const before = await run(page);
  const call = await model().call();
  call.write("Dear neighbors, ");
  await expect(stream(page)).toContainText("Dear neighbors,");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(status(page)).toHaveText("Stopped");
  await call.gone;
  await expect(stream(page)).toContainText("Dear neighbors,");
  await expect(page.getByRole("button", { name: "Stop" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Run" })).toBeFocused();
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(meter(page)).toHaveAttribute("aria-valuenow", String(before + 1));

  // The page is ready for the next run.
  await page.getByRole("button", { name: "Run" }).click();
  const next = await model().call();
  next.write("Once more.");
  next.end();
  await expect(status(page)).toHaveText("Done");
  await expect(meter(page)).toHaveAttribute("aria-valuenow", String(before + 2));
});

test("an answer that is cut is told beside what came of it, and costs nothing", async ({ page }) => {
  const before = await run(page);
  const call = await model().call();
  call.write("Dear neighbors, ");
  await expect(stream(page)).toContainText("Dear neighbors,");
  call.cut();
  await expect(page.getByRole("alert")).toContainText("Nothing was charged");
  await expect(status(page)).toHaveText("Failed");
  await expect(stream(page)).toContainText("Dear neighbors,");
  await page.reload();
  await expect(meter(page)).toHaveAttribute("aria-valuenow", String(before));
});
