// @vitest-environment node
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { UsageMeter } from "../src/components/index.js";
import { TollgateProvider, useUsage } from "../src/index.js";
import { quota } from "./support.js";

function Loading() {
  return <i>{String(useUsage().loading)}</i>;
}

it("draws on a server, where there is no window", () => {
  expect(typeof globalThis.window).toBe("undefined");
  const html = renderToString(
    <TollgateProvider>
      <Loading />
      <UsageMeter quota={quota()} locale="en" now={0} />
    </TollgateProvider>,
  );
  expect(html).toContain("<i>true</i>");
  expect(html).toContain('role="meter"');
});
