import { ActionIcon, Button, Group } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { TollgateProvider, useNotifications, useUsage } from "@tollgate/react";
import { ConnectionBadge, NotificationBell } from "@tollgate/react/components";
import type { User } from "@tollgate/react/core";
import { useCallback } from "react";
import { boot } from "../boot";
import { forget, signOut } from "../session/session";
import { BrandMark } from "./brand-mark";
import { Footer } from "./footer";
import { Icon } from "./icons";
import { Page } from "./page";
import { PlainFrame } from "./plain-frame";
import { QuotaDialog } from "./quota-dialog";
import { ThemeToggle } from "./theme-toggle";
import { labels, words } from "./words";

const NAV = [
  { to: "/", label: words.overview, icon: "overview", exact: true },
  { to: "/playground", label: words.playground, icon: "playground", exact: false },
  { to: "/plans", label: words.plans, icon: "plans", exact: false },
] as const;

/** Frame of every signed-in page. The live connection lives as long as the frame does. */
export function Shell({ user }: { user: User }) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const toSignIn = useCallback(() => {
    forget(queryClient);
    void navigate({ to: "/sign-in", search: { next: location.pathname } });
  }, [queryClient, navigate]);

  async function leave() {
    await signOut(queryClient);
    await navigate({ to: "/sign-in" });
  }

  if (!user.customer) return <NoCustomer user={user} onLeave={leave} />;
  return (
    <TollgateProvider key={user.id} onSignedOut={toSignIn}>
      <a className="skip-link" href="#main">
        {words.skip}
      </a>
      <div className="shell">
        <header className="shell-head">
          <BrandMark />
          <div className="shell-tools">
            <LiveBadge />
            <Bell />
            <ThemeToggle />
            <span className="shell-user" title={user.email}>
              {user.name ?? user.email}
            </span>
            <ActionIcon variant="subtle" color="gray" size="lg" aria-label={words.signOut} onClick={leave}>
              <Icon name="signOut" />
            </ActionIcon>
          </div>
        </header>
        <nav className="shell-nav" aria-label={words.main}>
          {NAV.map(({ to, label, icon, exact }) => (
            <Link key={to} to={to} activeOptions={{ exact }} className="shell-link">
              <Icon name={icon} />
              {label}
            </Link>
          ))}
          {user.role !== "user" && (
            <a href="/admin" className="shell-link">
              <Icon name="lock" />
              {words.admin}
            </a>
          )}
        </nav>
        <main className="shell-main" id="main" tabIndex={-1}>
          <Outlet />
          <Footer />
        </main>
      </div>
      <QuotaDialog />
    </TollgateProvider>
  );
}

/** An administrator has no plan and no meters of their own. */
function NoCustomer({ user, onLeave }: { user: User; onLeave: () => void }) {
  return (
    <PlainFrame>
      <Page title="No plan of your own" intro={`${user.email} manages ${boot.brand.name} and is no customer of it.`}>
        <Group gap="sm">
          <Button component="a" href="/admin">
            Go to the admin page
          </Button>
          <Button variant="default" onClick={onLeave}>
            Sign out
          </Button>
        </Group>
      </Page>
    </PlainFrame>
  );
}

function LiveBadge() {
  return <ConnectionBadge state={useUsage().connection} labels={labels} />;
}

function Bell() {
  const navigate = useNavigate();
  return (
    <NotificationBell
      inbox={useNotifications()}
      href="/notifications"
      onFollow={(to) => void navigate({ to })}
      labels={labels}
      locale={boot.locale}
    />
  );
}
