import { expect, ofTenant, signedIn, signIn, test, useServer } from "../support/test";

const server = useServer();
const NEW = "new@halisoft.example";

test.describe("a wrong password", () => {
  test.use({ expected: [/status of 401/] });

  test("is told, and the form stays filled", async ({ page }) => {
    await page.goto(server().url);
    await page.getByRole("textbox", { name: "E-mail" }).fill(NEW);
    await page.getByRole("textbox", { name: "Password" }).fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toBeVisible();
    await expect(page.getByRole("textbox", { name: "E-mail" })).toHaveValue(NEW);
    await expect(page.getByRole("textbox", { name: "Password" })).toBeFocused();
  });
});

test("who forgot the password asks for a link from the sign-in page", async ({ page }) => {
  await page.goto(server().url);
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByRole("textbox", { name: "E-mail address" }).fill(NEW);
  await page.getByRole("button", { name: "Send me a link" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Look into your mail" })).toBeVisible();
});

test("the demo's accounts can be chosen; no password is shown", async ({ page }) => {
  await page.goto(server().url);
  const { demoUsers } = JSON.parse((await page.locator("#boot").textContent()) ?? "");
  expect(demoUsers).toContain(NEW);
  const offered = page.getByRole("region", { name: "Demo accounts" });
  await expect(offered.locator(".demo-email")).toHaveText(demoUsers);
  await expect(offered).toContainText("TOLLGATE_DEMO_PASSWORD");
  await offered.getByRole("button", { name: NEW }).click();
  await expect(page.getByRole("textbox", { name: "E-mail" })).toHaveValue(NEW);
  await expect(page.getByRole("textbox", { name: "Password" })).toHaveValue("");
  await expect(page.getByRole("textbox", { name: "Password" })).toBeFocused();
  expect(await page.content()).not.toContain(server().password);
});

test("an administrator without a plan is led from the portal to the admin page", async ({ page }) => {
  await signedIn(page, server(), "admin@halisoft.example");
  await page.goto(server().url);
  await expect(page.getByRole("heading", { level: 1, name: "No plan of your own" })).toBeVisible();
  await page.getByRole("link", { name: "Go to the admin page" }).click();
  await expect(page).toHaveURL(/\/admin$/);
});

test("a deep link asks for the sign-in and then goes where it led", async ({ page }) => {
  await page.goto(`${server().url}/playground/invoice-ocr`);
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByRole("textbox", { name: "E-mail" }).fill(NEW);
  await page.getByRole("textbox", { name: "Password" }).fill(server().password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/playground\/invoice-ocr$/);
});

test("signing out ends the session, also after a reload", async ({ page }) => {
  await signIn(page, server(), NEW);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await page.goto(server().url);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
});

test("the session cookie is out of reach of scripts", async ({ page }) => {
  await signIn(page, server(), NEW);
  expect(await page.evaluate(() => document.cookie)).toBe("");
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ httpOnly: true });
});

test("an administrator lands on the admin page", async ({ page }) => {
  await page.goto(server().url);
  await page.getByRole("textbox", { name: "E-mail" }).fill("admin@halisoft.example");
  await page.getByRole("textbox", { name: "Password" }).fill(server().password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/admin$/);
  await expect(page.getByRole("link", { name: "/api/docs" })).toBeVisible();
});

test("the chosen colors stay after a reload", async ({ page }) => {
  await signedIn(page, server(), NEW);
  await page.goto(server().url);
  const scheme = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme);
  expect(await scheme()).toBe("light");
  await page.getByRole("button", { name: "Switch to dark colors" }).click();
  await page.reload();
  await expect.poll(scheme).toBe("dark");
});

test("keys: the skip link comes first, and the heading takes the focus after navigating", async ({ page }) => {
  await signedIn(page, server(), NEW);
  await page.goto(server().url);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.getByRole("link", { name: "Playground" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Playground" })).toBeFocused();
});

test("another tenant shows its own name and accounts", async ({ page }) => {
  await page.goto(ofTenant("studio", server()).url);
  await expect(page.getByRole("button", { name: "user@studio.example" })).toBeVisible();
  await expect(page.locator("body")).not.toContainText(/halisoft/i);
});
