/** What the demo starts with, for the addresses that the server names. */
const ABOUT: Record<string, string> = {
  "near@halisoft.example": "Starter, starts at 87 of 100",
  "full@halisoft.example": "Starter, starts at its limit",
  "new@halisoft.example": "Starter, starts at zero",
  "pro@halisoft.example": "Professional",
  "enterprise@halisoft.example": "Enterprise",
  "user@studio.example": "Free, starts at 99 of 100",
  "pro@studio.example": "Pro",
  "power@studio.example": "Power",
};

export function aboutDemoUser(email: string): string | undefined {
  return ABOUT[email] ?? (email.startsWith("admin@") ? "Administrator" : undefined);
}
