import { Text, Title } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";
import { boot } from "../boot";

let arrived = false;

/** One page: its title in the tab, its `h1` focused when it was navigated to. */
export function Page(props: { title: string; intro?: ReactNode; aside?: ReactNode; children: ReactNode }) {
  const { title, intro, aside, children } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · ${boot.brand.name}`;
  }, [title]);
  useEffect(() => {
    // The browser places the focus on the first page of a visit.
    if (arrived) heading.current?.focus({ preventScroll: true });
    arrived = true;
  }, []);
  return (
    <>
      <div className="page-head">
        <div>
          <Title order={1} ref={heading} tabIndex={-1} className="page-title">
            {title}
          </Title>
          {intro && <Text c="dimmed">{intro}</Text>}
        </div>
        {aside}
      </div>
      {children}
    </>
  );
}
