import type { User } from "@tollgate/react/core";

export interface Tenant {
  slug: string;
  name: string;
  mode: "sandbox" | "live";
  timezone: string;
  currency: string;
}

export interface Brand {
  name: string;
  logo: string | null;
  primary: string;
  accent: string;
  radius: string;
  scheme: "auto" | "light" | "dark";
  poweredBy: boolean;
  links: { terms?: string | null; privacy?: string | null; support?: string | null };
}

/** What the server writes into the page, so that the first paint needs no call. */
export interface Boot {
  nonce: string;
  tenant: Tenant;
  brand: Brand;
  locale: string;
  demo: boolean;
  /** The demo's addresses to choose from; none outside of it. */
  demoUsers: string[];
  user: User | null;
}

const NEUTRAL: Boot = {
  nonce: "",
  tenant: { slug: "", name: "Portal", mode: "live", timezone: "UTC", currency: "USD" },
  brand: {
    name: "Portal",
    logo: null,
    primary: "#0f766e",
    accent: "#0f766e",
    radius: "md",
    scheme: "auto",
    poweredBy: false,
    links: {},
  },
  locale: "en",
  demo: false,
  demoUsers: [],
  user: null,
};

/** Reads the boot data; Vite's own dev server fills in none, and then the neutral page shows. */
export function readBoot(text: string | null | undefined): Boot {
  try {
    const given = JSON.parse(text ?? "") as Partial<Boot>;
    return { ...NEUTRAL, ...given, brand: { ...NEUTRAL.brand, ...chosen(given.brand) } };
  } catch {
    return NEUTRAL;
  }
}

/** What a tenant has left open is null. */
function chosen(brand: Partial<Brand> = {}): Partial<Brand> {
  return Object.fromEntries(Object.entries(brand).filter(([, value]) => value !== null));
}

export const boot: Boot = readBoot(globalThis.document?.getElementById("boot")?.textContent);
