import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 320, height: 640 } };
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Every size and color scheme in which a page has to be right. */
export const LOOKS = Object.entries(SIZES).flatMap(([size, viewport]) =>
  (["light", "dark"] as const).map((colorScheme) => ({ name: `${size}, ${colorScheme}`, viewport, colorScheme })),
);

/** No violation that axe can find, and nothing to scroll sideways for. */
export async function expectAccessible(page: Page) {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
  const [widest, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(widest).toBeLessThanOrEqual(width);
}

/** The same in every look, for a state of a page that is not easily brought about twice. */
export async function expectAccessibleInEveryLook(page: Page) {
  for (const { name, viewport, colorScheme } of LOOKS) {
    await test.step(name, async () => {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", colorScheme);
      await expectAccessible(page);
    });
  }
}
