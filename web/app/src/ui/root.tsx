import { MantineProvider, useComputedColorScheme } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { boot } from "../boot";
import { themeOf, variablesOf } from "../brand/theme";

/** Mounts a page with the tenant's theme. */
export function mount(queryClient: QueryClient, page: ReactNode) {
  const root = document.getElementById("root");
  if (!root) throw new Error("The page has no #root.");
  document.documentElement.lang = boot.locale;
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={themeOf(boot.brand)}
        cssVariablesResolver={variablesOf}
        defaultColorScheme={boot.brand.scheme}
        getStyleNonce={() => boot.nonce}
      >
        <SchemeForParts />
        <QueryClientProvider client={queryClient}>{page}</QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

export function newQueryClient(): QueryClient {
  return new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: 30_000 } } });
}

/** The SDK's parts follow the page's scheme, not the system's. */
function SchemeForParts() {
  const scheme = useComputedColorScheme("light");
  useEffect(() => {
    document.documentElement.dataset.tgScheme = scheme;
  }, [scheme]);
  return null;
}
