// Reads a component's input schema into form fields, and the form back into an input. No React.

export interface Field {
  name: string;
  label: string;
  help?: string;
  kind: "text" | "longText" | "number" | "integer" | "boolean" | "choice" | "json" | "list" | "files";
  required: boolean;
  options?: string[];
  /** A `json` field that also takes plain text. */
  allowText?: boolean;
}

/** One way to fill the form, where the schema allows several. */
export interface Variant {
  title: string;
  fields: Field[];
}

export interface FileInput {
  mediaType: string;
  data: string;
  name: string;
}

export type Values = Record<string, string | boolean | FileInput[]>;

type Schema = Record<string, unknown>;

/** A field that stands for the whole input, for schemas that name no properties. */
export const WHOLE = "";

export function variantsOf(schema: Schema): Variant[] {
  const properties = objectOf(schema.properties);
  const required = strings(schema.required);
  const choices = schemas(schema.oneOf ?? schema.anyOf).map((choice) => ({
    properties: { ...pick(properties, strings(choice.required)), ...objectOf(choice.properties) },
    required: [...required, ...strings(choice.required)],
  }));
  const chosen = new Set(choices.flatMap((choice) => Object.keys(choice.properties)));
  const shared = Object.fromEntries(Object.entries(properties).filter(([name]) => !chosen.has(name)));
  const fromChoices = choices
    .filter((choice) => Object.keys(choice.properties).length > 0)
    .map((choice) => ({
      title: variant(choice.properties, []).title,
      fields: variant({ ...choice.properties, ...shared }, choice.required).fields,
    }));
  if (fromChoices.length > 1) return fromChoices;
  if (Object.keys(properties).length === 0) return [{ title: "Input", fields: [wholeField()] }];
  return splitFiles(variant(properties, required));
}

/** Files stand beside other ways to give the same thing, unless the schema asks for both. */
function splitFiles(all: Variant): Variant[] {
  const files = all.fields.filter(({ kind }) => kind === "files");
  const others = all.fields.filter(({ kind }) => kind !== "files");
  if (files.length === 0 || others.length === 0 || files.some(({ required }) => required)) return [all];
  const optional = others.filter(({ required }) => !required);
  if (optional.length !== others.length) return [all];
  return [titled(others), titled(files)];
}

function variant(properties: Record<string, unknown>, required: string[]): Variant {
  const fields = Object.entries(properties).map(([name, schema]) =>
    fieldOf(name, objectOf(schema), required.includes(name)),
  );
  return titled(fields);
}

function titled(fields: Field[]): Variant {
  return { title: fields.map(({ label }) => label).join(", "), fields };
}

function fieldOf(name: string, schema: Schema, required: boolean): Field {
  const label = typeof schema.title === "string" ? schema.title : words(name);
  const help = typeof schema.description === "string" ? schema.description : undefined;
  const options = strings(schema.enum);
  const types = typesOf(schema);
  const base = { name, label, help, required };
  if (options.length > 0) return { ...base, kind: "choice", options };
  if (isFileList(name, schema)) return { ...base, kind: "files" };
  if (types.has("object") || (types.has("array") && !isStringList(schema))) {
    return { ...base, kind: "json", allowText: types.has("string") };
  }
  if (types.has("array")) return { ...base, kind: "list" };
  if (types.has("boolean")) return { ...base, kind: "boolean" };
  if (types.has("integer")) return { ...base, kind: "integer" };
  if (types.has("number")) return { ...base, kind: "number" };
  const short = schema.format !== undefined || (typeof schema.maxLength === "number" && schema.maxLength <= 200);
  return { ...base, kind: short ? "text" : "longText" };
}

/** Fills the form from a sample input. */
export function valuesOf(fields: Field[], sample: unknown): Values {
  const given = objectOf(sample);
  return Object.fromEntries(
    fields.map((field) => [field.name, startValue(field, field.name === WHOLE ? sample : given[field.name])]),
  );
}

function startValue(field: Field, value: unknown): Values[string] {
  if (field.kind === "files") return [];
  if (field.kind === "boolean") return value === true;
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  if (field.kind === "list" && Array.isArray(value)) return value.join("\n");
  return JSON.stringify(value, null, 2);
}

/** What the form sends. Empty optional fields are left out; what cannot be read is told per field. */
export function inputOf(fields: Field[], values: Values): { input: unknown; errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const input: Record<string, unknown> = {};
  for (const field of fields) {
    const read = readValue(field, values[field.name] ?? "");
    if (read.error) errors[field.name] = read.error;
    else if (read.value !== undefined) input[field.name] = read.value;
    else if (field.required) errors[field.name] = "Fill in this field.";
  }
  return { input: WHOLE in input ? input[WHOLE] : input, errors };
}

function readValue(field: Field, value: Values[string]): { value?: unknown; error?: string } {
  if (typeof value === "boolean") return { value };
  if (typeof value !== "string") {
    return value.length > 0 ? { value: value.map(({ mediaType, data }) => ({ mediaType, data })) } : {};
  }
  const text = value.trim();
  if (text === "") return {};
  if (field.kind === "list")
    return {
      value: text
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean),
    };
  if (field.kind === "number" || field.kind === "integer") return readNumber(field, text);
  return field.kind === "json" ? readJson(field, text) : { value };
}

function readNumber(field: Field, text: string): { value?: unknown; error?: string } {
  const number = Number(text);
  if (!Number.isFinite(number)) return { error: "Enter a number." };
  if (field.kind === "integer" && !Number.isInteger(number)) return { error: "Enter a whole number." };
  return { value: number };
}

function readJson(field: Field, text: string): { value?: unknown; error?: string } {
  if (field.allowText && !/^[[{]/.test(text)) return { value: text };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return field.allowText ? { value: text } : { error: "This is not valid JSON." };
  }
}

/** Server pointers such as `/invoiceData/lines/0` by the field they lie in; the rest under WHOLE. */
export function errorsByField(fields: Field[], errors: { pointer: string; detail: string }[]): Record<string, string> {
  const names = new Set(fields.map(({ name }) => name));
  const found: Record<string, string> = {};
  for (const { pointer, detail } of errors) {
    const name = pointer.replace(/^#/, "").split("/")[1]?.replaceAll("~1", "/").replaceAll("~0", "~") ?? WHOLE;
    found[names.has(name) ? name : WHOLE] ??= detail;
  }
  return found;
}

/** Names as the schema's properties stand, then the others as they come. */
export function inOrder(names: string[], schema: unknown): string[] {
  const listed = Object.keys(objectOf(objectOf(schema).properties));
  const place = (name: string) => (listed.includes(name) ? listed.indexOf(name) : listed.length);
  return [...names].sort((a, b) => place(a) - place(b));
}

export function propertyOf(schema: unknown, name: string): unknown {
  return objectOf(objectOf(schema).properties)[name];
}

export function itemsOf(schema: unknown): unknown {
  return objectOf(schema).items;
}

/** "invoiceNumber" and "invoice_number" as "Invoice number". */
export function words(name: string): string {
  const spaced = name.replace(/[_-]+/g, " ").replace(/([a-z0-9])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function wholeField(): Field {
  return { name: WHOLE, label: "Input", help: "JSON, as the API takes it.", kind: "json", required: true };
}

function typesOf(schema: Schema): Set<string> {
  const own = typeof schema.type === "string" ? [schema.type] : strings(schema.type);
  const inner = schemas(schema.anyOf ?? schema.oneOf).flatMap((choice) => [...typesOf(choice)]);
  return new Set([...own, ...inner]);
}

function isFileList(name: string, schema: Schema): boolean {
  const item = objectOf(objectOf(schema.items).properties);
  return "mediaType" in item || (name === "files" && typesOf(schema).has("array"));
}

function isStringList(schema: Schema): boolean {
  return objectOf(schema.items).type === "string";
}

function pick(properties: Schema, names: string[]): Schema {
  return Object.fromEntries(names.filter((name) => name in properties).map((name) => [name, properties[name]]));
}

function objectOf(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function schemas(value: unknown): Schema[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}
