import { MantineProvider } from "@mantine/core";
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { ResultView } from "../src/playground/result-view";

afterEach(cleanup);

function show(value: unknown, schema?: unknown) {
  return render(<ResultView value={value} schema={schema} />, { wrapper: MantineProvider });
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

it("follows its schema: the order, and the words of its choices", () => {
  const lines = { items: { required: ["name", "sum"], properties: { name: { type: "string" } } } };
  const kind = { enum: ["credit_note", "invoice"] };
  const schema = { required: ["kind", "lines"], properties: { kind, lines } };
  show({ lines: [{ sum: "1234.50", name: "snake_case" }], kind: "credit_note" }, schema);
  expect(screen.getAllByRole("term").map((term) => term.textContent)).toEqual(["Kind", "Lines"]);
  expect(screen.getByText("Credit note")).toBeTruthy();
  expect(screen.getAllByRole("row").map((row) => row.textContent)).toEqual(["NameSum", "snake_case1,234.50"]);
});

it("shows rows of long texts as cards, without what they lack", () => {
  const long = "A sentence that is too long to stand in a column of a table.";
  show([{ type: "payment", excerpt: long, comment: long, suggestion: null }]);
  expect(screen.queryByRole("table")).toBeNull();
  expect(screen.getAllByRole("term").map((term) => term.textContent)).toEqual(["Type", "Excerpt", "Comment"]);
});
