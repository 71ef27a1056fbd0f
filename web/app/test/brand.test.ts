import { describe, expect, it } from "vitest";
import { readBoot } from "../src/boot";
import { BASE_SHADE, contrast, readableShade, shadesOf } from "../src/brand/shades";
import { themeOf } from "../src/brand/theme";
import { safeNext } from "../src/session/session";

const COLORS = ["#0f766e", "#facc15", "#1e3a8a", "#ef4444", "#000000", "#ffffff", "#7c3aed"];

describe("shades of a brand color", () => {
  it("contain the color itself and run from light to dark", () => {
    for (const color of ["#0f766e", "#ef4444", "#7c3aed"]) {
      const shades = shadesOf(color);
      expect(shades[BASE_SHADE]).toBe(color);
      const onWhite = shades.map((shade) => contrast(shade, "#ffffff"));
      expect(onWhite).toEqual([...onWhite].sort((a, b) => a - b));
    }
  });

  it("know WCAG contrast", () => {
    expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
    expect(contrast("#767676", "#ffffff")).toBeCloseTo(4.54, 1);
  });

  it.each(COLORS)("offer one of %s that can be read on light and on dark ground", (color) => {
    const shades = shadesOf(color);
    const light = shades[readableShade(shades, "#f5f6f8", BASE_SHADE, 1)] ?? "";
    const dark = shades[readableShade(shades, "#14171c", 4, -1)] ?? "";
    expect(contrast(light, "#f5f6f8")).toBeGreaterThanOrEqual(4.5);
    expect(contrast(dark, "#14171c")).toBeGreaterThanOrEqual(4.5);
  });
});

describe("boot data", () => {
  it("are read from the page, with the neutral brand for what is missing", () => {
    const boot = readBoot(JSON.stringify({ nonce: "n", demo: true, brand: { name: "HaliSoft", primary: "#123456" } }));
    expect(boot).toMatchObject({ nonce: "n", demo: true, user: null, brand: { name: "HaliSoft", scheme: "auto" } });
    expect(themeOf(boot.brand).colors?.brand?.[BASE_SHADE]).toBe("#123456");
  });

  it("are neutral where the server has filled in none", () => {
    // A tenant that has chosen nothing, such as a fresh server's own.
    const bare = readBoot(JSON.stringify({ brand: { name: "Platform", primary: null, scheme: null, radius: null } }));
    expect(bare.brand).toMatchObject({ name: "Platform", primary: "#0f766e", scheme: "auto", radius: "md" });
    expect(readBoot("__TOLLGATE_BOOT__").brand.name).toBe("Portal");
    expect(readBoot(undefined).demo).toBe(false);
  });
});

describe("where a sign-in leads", () => {
  const user = { role: "user" } as Parameters<typeof safeNext>[1];

  it("is where the user wanted to go, and never another site", () => {
    expect(safeNext("/playground?x=1", user)).toBe("/playground?x=1");
    for (const evil of ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]) {
      expect(safeNext(evil, user)).toBe("/");
    }
  });

  it("is the admin page for staff", () => {
    expect(safeNext(undefined, { ...user, role: "admin" })).toBe("/admin");
  });
});
