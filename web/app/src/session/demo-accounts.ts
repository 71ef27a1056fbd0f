export interface DemoAccount {
  email: string;
  about: string;
}

/** The demo's people, by tenant. Their password is printed where the server was started. */
export const DEMO_ACCOUNTS: Record<string, DemoAccount[]> = {
  halisoft: [
    { email: "near@halisoft.example", about: "Starter, 87 of 100 invoices used" },
    { email: "full@halisoft.example", about: "Starter, at the limit" },
    { email: "new@halisoft.example", about: "Starter, nothing used" },
    { email: "pro@halisoft.example", about: "Professional" },
    { email: "enterprise@halisoft.example", about: "Enterprise" },
    { email: "admin@halisoft.example", about: "Administrator" },
  ],
  studio: [
    { email: "user@studio.example", about: "Free, 99 of 100 prompts used" },
    { email: "pro@studio.example", about: "Pro" },
    { email: "power@studio.example", about: "Power" },
    { email: "admin@studio.example", about: "Administrator" },
  ],
};
