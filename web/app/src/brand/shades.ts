// One color to ten shades, light to dark, in OKLCH: equal steps look equal whatever the hue.

type Triple = [number, number, number];

/** Lightness of each shade; the sixth and seventh are where text on white passes 4.5:1. */
const LIGHTNESS = [0.97, 0.94, 0.88, 0.81, 0.74, 0.64, 0.53, 0.46, 0.39, 0.31];
const CHROMA = [0.12, 0.25, 0.5, 0.75, 0.95, 1, 1, 0.95, 0.85, 0.7];
/** The shade that is the given color itself. */
export const BASE_SHADE = 6;

export function shadesOf(hex: string): string[] {
  const base = parseHex(hex) ?? parseHex("#0f766e");
  if (!base) return [];
  const [lightness, chroma, hue] = toOklch(base);
  return LIGHTNESS.map((step, index) => {
    if (index === BASE_SHADE) return toHex(base);
    const wanted = index > BASE_SHADE ? Math.min(step, lightness * (step / 0.53)) : Math.max(step, lightness);
    return toHex(fromOklch([wanted, chroma * (CHROMA[index] ?? 1), hue]));
  });
}

/** WCAG contrast of two colors, 1 to 21. */
export function contrast(one: string, other: string): number {
  const [a, b] = [luminance(one), luminance(other)].sort((x, y) => y - x) as [number, number];
  return (a + 0.05) / (b + 0.05);
}

/** The first shade from `start` on, in steps of `step`, that reads well on `ground`. */
export function readableShade(shades: string[], ground: string, start: number, step: 1 | -1): number {
  for (let index = start; index >= 0 && index < shades.length; index += step) {
    if (contrast(shades[index] ?? ground, ground) >= 4.5) return index;
  }
  return step > 0 ? shades.length - 1 : 0;
}

function luminance(hex: string): number {
  const [r, g, b] = (parseHex(hex) ?? [0, 0, 0]).map(linear) as Triple;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function parseHex(hex: string): Triple | undefined {
  const match = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex);
  if (!match) return undefined;
  return match.slice(1).map((part) => Number.parseInt(part, 16) / 255) as Triple;
}

function toHex(rgb: Triple): string {
  const part = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * 255);
  return `#${rgb.map((value) => part(value).toString(16).padStart(2, "0")).join("")}`;
}

function linear(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function gamma(value: number): number {
  return value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055;
}

function toOklch(rgb: Triple): Triple {
  const [r, g, b] = rgb.map(linear) as Triple;
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  const x = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const y = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, Math.hypot(x, y), Math.atan2(y, x)];
}

function fromOklch([lightness, chroma, hue]: Triple): Triple {
  const [x, y] = [chroma * Math.cos(hue), chroma * Math.sin(hue)];
  const l = (lightness + 0.3963377774 * x + 0.2158037573 * y) ** 3;
  const m = (lightness - 0.1055613458 * x - 0.0638541728 * y) ** 3;
  const s = (lightness - 0.0894841775 * x - 1.291485548 * y) ** 3;
  return [
    gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
