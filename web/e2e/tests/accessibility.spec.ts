import type { Page } from "@playwright/test";
import { expectAccessible, LOOKS } from "../support/axe";
import { elsewhere, expect, signedIn, test, useServer } from "../support/test";

const server = useServer();
const USER = "near@halisoft.example";
const FULL = "full@halisoft.example";
const NEW = "new@halisoft.example";
const ADMIN = "admin@halisoft.example";

interface View {
  name: string;
  path: string;
  as?: string;
  /** Brings the page into the state to look at. */
  ready: (page: Page) => Promise<void>;
}

const heading = (name: string | RegExp) => (page: Page) =>
  expect(page.getByRole("heading", { level: 1, name })).toBeVisible();

/** Something to read: the first that asks uses it up, and for the others it is. */
async function told(page: Page) {
  const other = await elsewhere(page.request, server(), NEW);
  await other.consume("invoice_ocr", 80);
  await expect(page.getByRole("button", { name: "Notifications, 1 unread" })).toBeVisible();
}

const VIEWS: View[] = [
  { name: "sign-in", path: "/", ready: heading("Sign in") },
  { name: "forgotten password", path: "/forgot", ready: heading("Choose a new password") },
  {
    name: "overview",
    path: "/",
    as: USER,
    ready: async (page) => {
      await expect(page.getByRole("meter").first()).toBeVisible();
      await expect(page.getByRole("region", { name: "Plan" })).toContainText("Starter");
    },
  },
  {
    name: "playground",
    path: "/playground",
    as: USER,
    ready: (page) => expect(page.getByRole("link", { name: /Invoice OCR/ })).toBeVisible(),
  },
  {
    name: "playground with an answer",
    path: "/playground/invoice-ocr",
    as: USER,
    ready: async (page) => {
      await page.getByRole("button", { name: "Run" }).click();
      await expect(page.getByRole("status").filter({ hasText: "Done" })).toBeVisible();
    },
  },
  {
    name: "answer in cards",
    path: "/playground/contract-review",
    as: "enterprise@halisoft.example",
    ready: async (page) => {
      await page.getByRole("button", { name: "Run" }).click();
      await expect(page.getByRole("status").filter({ hasText: "Done" })).toBeVisible();
    },
  },
  {
    name: "quota dialog",
    path: "/playground/invoice-ocr",
    as: FULL,
    ready: async (page) => {
      await page.getByRole("button", { name: "Run" }).click();
      await expect(page.getByRole("dialog")).toBeVisible();
    },
  },
  { name: "plans", path: "/plans", as: USER, ready: (page) => expect(page.locator("[data-plan]")).toHaveCount(3) },
  { name: "notifications", path: "/notifications", as: NEW, ready: told },
  { name: "no notifications", path: "/notifications", as: FULL, ready: heading("Notifications") },
  {
    name: "notification panel",
    path: "/",
    as: NEW,
    ready: async (page) => {
      await told(page);
      await page.getByRole("button", { name: /^Notifications, 1/ }).click();
      const panel = page.getByRole("dialog");
      await expect(panel.getByRole("listitem")).toHaveCount(1);
      // Nothing of it is cut off.
      await expect(panel).toBeInViewport({ ratio: 1 });
    },
  },
  {
    name: "preferences",
    path: "/notifications/preferences",
    as: USER,
    ready: (page) => expect(page.getByRole("switch").first()).toBeVisible(),
  },
  { name: "admin", path: "/admin", as: ADMIN, ready: heading(/./) },
  { name: "no plan", path: "/", as: ADMIN, ready: heading("No plan of your own") },
  { name: "nothing here", path: "/nothing-here", as: USER, ready: heading("Page not found") },
];

for (const look of LOOKS) {
  test.describe(look.name, () => {
    test.use({ viewport: look.viewport, colorScheme: look.colorScheme, expected: [/status of (404|429)/] });

    for (const { name, path, as, ready } of VIEWS) {
      test(`${name}: no violation, no sideways scroll`, async ({ page }) => {
        if (as) await signedIn(page, server(), as);
        await page.goto(server().url + path);
        await ready(page);
        await expectAccessible(page);
      });
    }
  });
}
