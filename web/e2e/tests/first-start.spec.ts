import { expectAccessibleInEveryLook } from "../support/axe";
import { expect, test, useServer } from "../support/test";

const server = useServer(() => ({ demo: false }));
const OPERATOR = { email: "root@example.com", password: "long-enough-one" };

test.use({ expected: [/status of 403/] });

test("an empty server prints a link that makes its first operator, once, who can then sign in", async ({ page }) => {
  test.slow(); // three states, each looked at in four ways
  const link = /http:\/\/\S+\/setup\?token=\S+/.exec(server().said)?.[0] ?? "";
  const email = page.getByRole("textbox", { name: "E-mail" });
  const password = page.getByRole("textbox", { name: "Password" });
  const fill = async () => {
    await email.fill(OPERATOR.email);
    await password.fill(OPERATOR.password);
  };

  await page.goto(link);
  await expect(page.getByRole("heading", { level: 1, name: "Set up" })).toBeVisible();
  await expectAccessibleInEveryLook(page);
  await fill();
  await page.getByRole("button", { name: "Make the operator" }).click();
  await expect(page.getByRole("status")).toContainText("The operator is made.");
  await expectAccessibleInEveryLook(page);

  await page.getByRole("link", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  await fill();
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/admin$/);
  await expect(page.getByText(`Signed in as ${OPERATOR.email} (operator).`)).toBeVisible();

  await page.goto(link);
  await fill();
  await page.getByRole("button", { name: "Make the operator" }).click();
  await expect(page.getByRole("alert")).toContainText("Not allowed");
  await expect(password).toBeFocused();
  await expectAccessibleInEveryLook(page);
});
