import {
  type CSSVariablesResolver,
  createTheme,
  defaultVariantColorsResolver,
  type MantineColorShade,
  type MantineColorsTuple,
  type VariantColorsResolver,
} from "@mantine/core";
import type { Brand } from "../boot";
import { BASE_SHADE, readableShade, shadesOf } from "./shades";

const PAGE_LIGHT = "#f5f6f8";
const PAGE_DARK = "#14171c";

/** Cool grays instead of Mantine's neutral ones; the seventh is the ground of fields. */
const DARK: MantineColorsTuple = [
  "#e8ebf0",
  "#c3cad4",
  "#a3adba",
  "#7d8896",
  "#4a5463",
  "#39414d",
  "#262c35",
  "#1d2128",
  "#171a20",
  "#101318",
];

/** Mantine judges the text on a filled button by the light shade alone; the dark scheme has another. */
const variantColors: VariantColorsResolver = (input) => {
  const colors = defaultVariantColorsResolver(input);
  const primary = input.color === undefined || input.color === "brand";
  if (input.variant !== "filled" || !primary) return colors;
  return { ...colors, color: "var(--mantine-primary-color-contrast)" };
};

/** The tenant's colors as a theme. Text on them stays readable whichever color was chosen. */
export function themeOf(brand: Brand) {
  const shades = shadesOf(brand.primary);
  return createTheme({
    colors: { brand: shades as unknown as MantineColorsTuple, dark: DARK },
    variantColorResolver: variantColors,
    primaryColor: "brand",
    primaryShade: {
      light: readableShade(shades, PAGE_LIGHT, BASE_SHADE, 1) as MantineColorShade,
      dark: readableShade(shades, PAGE_DARK, 4, -1) as MantineColorShade,
    },
    autoContrast: true,
    luminanceThreshold: 0.18,
    defaultRadius: brand.radius,
    cursorType: "pointer",
    fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    fontFamilyMonospace: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
    headings: { fontWeight: "650" },
  });
}

/** The SDK's parts take the same colors, so that embeds and portal look alike. */
const SHARED = {
  "--tg-primary": "var(--mantine-primary-color-filled)",
  "--tg-on-primary": "var(--mantine-primary-color-contrast)",
  "--tg-text": "var(--mantine-color-text)",
  "--tg-muted": "var(--mantine-color-dimmed)",
  "--tg-surface": "var(--app-surface)",
  "--tg-border": "var(--app-border)",
  "--tg-radius": "var(--mantine-radius-default)",
};

/** Mantine's own grays do not reach 4.5:1, so the text colors are set here. */
export const variablesOf: CSSVariablesResolver = () => ({
  variables: SHARED,
  light: {
    "--mantine-color-body": PAGE_LIGHT,
    "--mantine-color-text": "#1c2430",
    "--mantine-color-dimmed": "#566070",
    "--mantine-color-placeholder": "#667080",
    "--mantine-color-error": "#b42318",
    "--mantine-color-anchor": "var(--mantine-primary-color-filled)",
    "--mantine-primary-color-light-color": "var(--mantine-color-brand-8)",
    "--mantine-color-brand-light-color": "var(--mantine-color-brand-8)",
    "--mantine-color-gray-light-color": "#3d4654",
    "--mantine-color-red-light-color": "#9f1c13",
    "--mantine-color-yellow-light-color": "#7a4b05",
    "--mantine-color-default-border": "#c6ced8",
    "--mantine-color-yellow-light": "var(--tg-yellow-soft)",
    "--mantine-color-red-light": "var(--tg-red-soft)",
    "--mantine-color-gray-light": "#eceff3",
    "--app-surface": "#ffffff",
    "--app-border": "#dfe4ea",
  },
  dark: {
    "--mantine-color-body": PAGE_DARK,
    "--mantine-color-text": "#e8ebf0",
    "--mantine-color-dimmed": "#a3adba",
    "--mantine-color-placeholder": "#8b95a3",
    "--mantine-color-error": "#ff8a80",
    "--mantine-color-anchor": "var(--mantine-primary-color-filled)",
    "--mantine-primary-color-light-color": "var(--mantine-color-brand-2)",
    "--mantine-color-brand-light-color": "var(--mantine-color-brand-2)",
    "--mantine-color-gray-light-color": "#ccd3dc",
    "--mantine-color-red-light-color": "#ffb4ab",
    "--mantine-color-yellow-light-color": "#fde047",
    "--mantine-color-gray-light": "#2b323c",
    "--mantine-color-red-light": "var(--tg-red-soft)",
    "--mantine-color-yellow-light": "var(--tg-yellow-soft)",
    "--mantine-color-brand-light": "color-mix(in srgb, var(--mantine-color-brand-6) 28%, var(--app-surface))",
    "--mantine-primary-color-light": "var(--mantine-color-brand-light)",
    "--mantine-color-default-border": "#46505e",
    "--app-surface": "#1d2128",
    "--app-border": "#333a45",
  },
});
