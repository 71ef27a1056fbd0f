// @vitest-environment node
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const src = join(import.meta.dirname, "../src");
const sheets = join(import.meta.dirname, "../../node_modules/@mantine/core/styles");

/** Styles that a component needs beside its own. */
const ALSO: Record<string, string[]> = {
  ActionIcon: ["UnstyledButton", "Loader"],
  Alert: ["CloseButton"],
  Button: ["UnstyledButton", "Loader"],
  NativeSelect: ["Input"],
  PasswordInput: ["Input", "ActionIcon"],
  SegmentedControl: ["FloatingIndicator"],
  Switch: ["InlineInput"],
  Tabs: ["UnstyledButton"],
  Textarea: ["Input"],
  TextInput: ["Input"],
};

function sources(): string[] {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tsx"));
  return files.map((name) => readFileSync(join(src, name), "utf8"));
}

function needed(): Set<string> {
  const imports = sources().flatMap((text) => [...text.matchAll(/import \{([^}]*)\} from "@mantine\/core"/g)]);
  const names = imports.flatMap(([, list]) => (list ?? "").split(",").map((name) => name.trim()));
  const all = names.flatMap((name) => [name, ...(ALSO[name] ?? [])]);
  return new Set(all.filter((name) => existsSync(join(sheets, `${name}.layer.css`))));
}

it("lists the styles of exactly the Mantine components that are used", () => {
  const list = readFileSync(join(src, "ui/styles.ts"), "utf8");
  const listed = [...list.matchAll(/styles\/([A-Z]\w+)\.layer\.css/g)].map(([, name]) => name);
  expect(listed.toSorted()).toEqual([...needed()].toSorted());
});
