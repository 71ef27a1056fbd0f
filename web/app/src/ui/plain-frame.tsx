import { Paper } from "@mantine/core";
import type { ReactNode } from "react";
import { BrandMark } from "./brand-mark";
import { Footer } from "./footer";
import { ThemeToggle } from "./theme-toggle";

/** Frame of a page that needs no sign-in: the brand on top, one card in the middle. */
export function PlainFrame({ children, below }: { children: ReactNode; below?: ReactNode }) {
  return (
    <div className="sign-in">
      <header className="sign-in-head">
        <BrandMark />
        <ThemeToggle />
      </header>
      <main className="sign-in-main">
        <Paper withBorder p="xl" className="surface">
          {children}
        </Paper>
        {below}
      </main>
      <Footer />
    </div>
  );
}
