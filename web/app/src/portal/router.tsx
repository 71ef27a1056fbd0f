import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { useEffect } from "react";
import { Overview } from "../overview/overview";
import { currentUser } from "../session/session";
import { SignIn } from "../session/sign-in";
import { Shell } from "../ui/shell";
import { AllFailed, NotFound, RouteFailed } from "./fallbacks";

const root = createRootRouteWithContext<{ queryClient: QueryClient }>()({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: AllFailed,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search): { next?: string } => (typeof search.next === "string" ? { next: search.next } : {}),
  component: SignIn,
});

const setUp = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  validateSearch: (search): { token?: string } => (typeof search.token === "string" ? { token: search.token } : {}),
  component: lazyRouteComponent(() => import("../session/set-up"), "SetUp"),
});

const signedIn = createRoute({
  getParentRoute: () => root,
  id: "signed-in",
  beforeLoad: ({ context, location }) => {
    const user = currentUser(context.queryClient);
    if (!user) throw redirect({ to: "/sign-in", search: location.pathname === "/" ? {} : { next: location.href } });
    return { user };
  },
  component: function SignedIn() {
    // Fetched ahead, so that the pages open also while the server is away.
    useEffect(() => {
      for (const page of [Catalog, ComponentPage, Plans, Inbox, Preferences])
        void page.preload?.()?.catch(() => undefined);
    }, []);
    return <Shell user={signedIn.useRouteContext().user} />;
  },
});

const Catalog = lazyRouteComponent(() => import("../playground/catalog"), "Catalog");
const ComponentPage = lazyRouteComponent(() => import("../playground/component-page"), "ComponentPage");

const Plans = lazyRouteComponent(() => import("../plans/plans"), "Plans");
const Inbox = lazyRouteComponent(() => import("../notifications/inbox"), "Inbox");
const Preferences = lazyRouteComponent(() => import("../notifications/preferences"), "Preferences");

const overview = createRoute({ getParentRoute: () => signedIn, path: "/", component: Overview });

const catalog = createRoute({
  getParentRoute: () => signedIn,
  path: "/playground",
  component: Catalog,
});

const component = createRoute({
  getParentRoute: () => signedIn,
  path: "/playground/$component",
  validateSearch: (search): { action?: string } => (typeof search.action === "string" ? { action: search.action } : {}),
  component: ComponentPage,
});

const plans = createRoute({ getParentRoute: () => signedIn, path: "/plans", component: Plans });

const inbox = createRoute({ getParentRoute: () => signedIn, path: "/notifications", component: Inbox });

const preferences = createRoute({
  getParentRoute: () => signedIn,
  path: "/notifications/preferences",
  component: Preferences,
});

const tree = root.addChildren([
  signIn,
  setUp,
  signedIn.addChildren([overview, catalog, component, plans, inbox, preferences]),
]);

export function makeRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queryClient },
    defaultPreload: "intent",
    defaultErrorComponent: RouteFailed,
    scrollRestoration: false,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
