import { describe, expect, it } from "vitest";
import { errorsByField, inOrder, inputOf, valuesOf, variantsOf, WHOLE, words } from "../src/playground/schema";

const FILES = {
  type: "array",
  items: { type: "object", properties: { mediaType: { type: "string" }, data: { type: "string" } } },
};
const kinds = (schema: Record<string, unknown>) =>
  variantsOf(schema).map(({ fields }) => fields.map(({ name, kind, required }) => [name, kind, required]));

describe("fields of a schema", () => {
  it("picks the control by type", () => {
    const schema = {
      required: ["company"],
      properties: {
        company: { type: "string", maxLength: 80 },
        notes: { type: "string" },
        revenue: { type: "number" },
        staff: { type: ["integer", "null"] },
        listed: { type: "boolean" },
        region: { enum: ["EU", "US"] },
        tags: { type: "array", items: { type: "string" } },
        lines: { type: "array", items: { type: "object" } },
        data: { anyOf: [{ type: "string" }, { type: "object" }] },
      },
    };
    expect(kinds(schema)).toEqual([
      [
        ["company", "text", true],
        ["notes", "longText", false],
        ["revenue", "number", false],
        ["staff", "integer", false],
        ["listed", "boolean", false],
        ["region", "choice", false],
        ["tags", "list", false],
        ["lines", "json", false],
        ["data", "json", false],
      ],
    ]);
  });

  it("offers the alternatives of a schema one by one", () => {
    const properties = { invoiceData: { type: ["string", "object"] }, files: FILES, note: { type: "string" } };
    const either = [[["invoiceData", "json", true]], [["files", "files", true]]];
    const shared = { properties, anyOf: [{ required: ["invoiceData"] }, { required: ["files"] }] };
    const note = ["note", "longText", false];
    expect(kinds(shared)).toEqual(either.map((fields) => [...fields, note]));
    expect(variantsOf(shared).map(({ title }) => title)).toEqual(["Invoice data", "Files"]);
    const inner = [
      { properties: { invoiceData: properties.invoiceData }, required: ["invoiceData"] },
      { properties: { files: FILES }, required: ["files"] },
    ];
    expect(kinds({ oneOf: inner })).toEqual(either);
  });

  it("keeps the order of the schema", () => {
    const properties = {
      amount: { type: "number" },
      history: { type: "array", items: {} },
      opening: { type: "number" },
    };
    const [only] = variantsOf({ properties, required: ["opening", "history"] });
    expect(only?.fields.map(({ name }) => name)).toEqual(["amount", "history", "opening"]);
    expect(inOrder(["more", "opening", "amount", "else"], { properties })).toEqual([
      "amount",
      "opening",
      "more",
      "else",
    ]);
  });

  it("never mixes files with what they stand for, unless both are asked for", () => {
    const properties = { invoiceData: { type: "string" }, files: FILES };
    expect(variantsOf({ properties }).map(({ title }) => title)).toEqual(["Invoice data", "Files"]);
    expect(variantsOf({ properties, required: ["files", "invoiceData"] })).toHaveLength(1);
  });

  it("takes whole JSON where the schema names no field", () => {
    expect(kinds({})).toEqual([[[WHOLE, "json", true]]]);
  });
});

describe("from the sample to the input", () => {
  const fields = variantsOf({
    required: ["company"],
    properties: {
      company: { type: "string" },
      revenue: { type: "number" },
      staff: { type: "integer" },
      listed: { type: "boolean" },
      tags: { type: "array", items: { type: "string" } },
      data: { type: ["string", "object"] },
    },
  }).flatMap((variant) => variant.fields);
  const sample = { company: "Acme", revenue: 1.5, staff: 3, listed: true, tags: ["a", "b"], data: { n: 1 } };

  it("gives the sample back unchanged", () => {
    expect(inputOf(fields, valuesOf(fields, sample))).toEqual({ input: sample, errors: {} });
  });

  it("leaves empty optional fields out and asks for the required ones", () => {
    expect(inputOf(fields, valuesOf(fields, undefined))).toEqual({
      input: { listed: false },
      errors: { company: "Fill in this field." },
    });
  });

  it("says what cannot be read", () => {
    const values = { ...valuesOf(fields, sample), revenue: "a lot", staff: "1.5" };
    expect(inputOf(fields, values).errors).toEqual({ revenue: "Enter a number.", staff: "Enter a whole number." });
    const [whole] = variantsOf({}).flatMap((variant) => variant.fields);
    expect(inputOf(whole ? [whole] : [], { [WHOLE]: "{" }).errors).toEqual({ [WHOLE]: "This is not valid JSON." });
  });

  it("sends JSON as JSON and text as text, also text that only looks like JSON", () => {
    const data = (text: string) => inputOf(fields, { company: "x", data: text }).input;
    expect(data('{"total": 12}')).toMatchObject({ data: { total: 12 } });
    expect(data("Invoice 7, total 12")).toMatchObject({ data: "Invoice 7, total 12" });
    expect(data("20260415")).toMatchObject({ data: "20260415" });
    expect(data("[copy] Invoice 7")).toMatchObject({ data: "[copy] Invoice 7" });
  });

  it("sends files without the name that only the page needs", () => {
    const [files] = variantsOf({ required: ["files"], properties: { files: FILES } }).flatMap((v) => v.fields);
    const value = [{ name: "a.pdf", mediaType: "application/pdf", data: "AA==" }];
    expect(inputOf(files ? [files] : [], { files: value }).input).toEqual({
      files: [{ mediaType: "application/pdf", data: "AA==" }],
    });
  });

  it("puts the server's errors at their fields, and the rest above them", () => {
    const errors = [
      { pointer: "/data/lines/0", detail: "Not a line." },
      { pointer: "#/company", detail: "Too long." },
      { pointer: "/unknown", detail: "Unknown field." },
    ];
    expect(errorsByField(fields, errors)).toEqual({
      data: "Not a line.",
      company: "Too long.",
      [WHOLE]: "Unknown field.",
    });
  });
});

it("names are read as words", () => {
  expect(["invoiceNumber", "invoice_number", "vat-id"].map(words)).toEqual([
    "Invoice number",
    "Invoice number",
    "Vat id",
  ]);
});
