import { Link } from "@tanstack/react-router";
import { labels, words } from "../ui/words";

const TABS = [
  { to: "/notifications", label: words.inbox },
  { to: "/notifications/preferences", label: words.preferences },
] as const;

/** The two pages about notifications. */
export function NotificationTabs() {
  return (
    <nav className="subnav" aria-label={labels.notifications}>
      {TABS.map(({ to, label }) => (
        <Link key={to} to={to} activeOptions={{ exact: true }} className="subnav-link">
          {label}
        </Link>
      ))}
    </nav>
  );
}
