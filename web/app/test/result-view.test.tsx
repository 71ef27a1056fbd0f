import { MantineProvider } from "@mantine/core";
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { ResultView } from "../src/playground/result-view";

afterEach(cleanup);

function show(value: unknown) {
  return render(<ResultView value={value} />, { wrapper: MantineProvider });
}

it("shows facts by name, rows as a table that names itself, and says where there is nothing", () => {
  show({
    invoiceNumber: "A-1",
    total: 387.7,
    balanced: true,
    taxId: null,
    warnings: [],
    lines: [
      { description: "Paper", quantity: 12, unitPrice: 4.9 },
      { description: "Toner", quantity: 3, unitPrice: 89 },
    ],
  });
  const fact = (name: string) => screen.getByText(name).nextElementSibling?.textContent;
  expect(fact("Invoice number")).toBe("A-1");
  expect(fact("Total")).toBe("387.70");
  expect(fact("Balanced")).toBe("Yes");
  expect(fact("Tax id")).toBe("–");
  expect(fact("Warnings")).toBe("None");
  expect(screen.getByRole("region", { name: "Lines" }).tabIndex).toBe(0);
  expect(screen.getAllByRole("row").map((row) => row.textContent)).toEqual([
    "DescriptionQuantityUnit price",
    "Paper124.90",
    "Toner389.00",
  ]);
});

it("shows text as text, markup included", () => {
  const { container } = show("<b>bold</b>");
  expect(container.textContent).toContain("<b>bold</b>");
  expect(container.querySelector("b")).toBeNull();
});
