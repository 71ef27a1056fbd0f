import { useEffect, useId, useRef, useState } from "react";
import {
  english,
  type Labels,
  type Notification,
  notificationFigures,
  notificationTitle,
  relativeTime,
} from "../core/index.js";
import type { Notifications } from "../react/use-notifications.js";

interface Wording {
  labels?: Labels;
  locale?: string;
  /** The time to count from; the reader's clock when left out. */
  now?: number;
}

export interface NotificationListProps extends Wording {
  notifications: Notification[];
  /** Marks one as read. */
  onRead: (id: string) => void;
}

/** What was told, each with how long ago, and a way to mark it as read while it is new. */
export function NotificationList({ notifications, onRead, labels = english, locale, now }: NotificationListProps) {
  const time = now ?? Date.now();
  return (
    <ul className="tg-notes">
      {notifications.map((note) => (
        <li key={note.id} className="tg-note-row" data-unread={note.readAt === null ? "" : undefined}>
          <div className="tg-note-text">
            <strong>{notificationTitle(note, labels)}</strong>
            <span className="tg-muted tg-small">
              {notificationFigures(note, locale)}
              {" · "}
              <time dateTime={note.createdAt}>{relativeTime(Date.parse(note.createdAt) - time, locale)}</time>
            </span>
          </div>
          {note.readAt === null && (
            <button
              type="button"
              className="tg-mark"
              aria-label={labels.markReadOf(notificationTitle(note, labels))}
              title={labels.markRead}
              onClick={() => onRead(note.id)}
            />
          )}
        </li>
      ))}
    </ul>
  );
}

export interface NotificationBellProps extends Wording {
  /** What `useNotifications()` gives. */
  inbox: Notifications;
  /** The page with all of them. */
  href?: string;
  /** How to get there without leaving the page, for hosts with a router. */
  onFollow?: (href: string) => void;
  /** How many the panel shows. */
  shown?: number;
}

/** A bell with the number of what was not read; it opens a panel with the newest. */
export function NotificationBell(props: NotificationBellProps) {
  const { inbox, labels = english } = props;
  const id = useId();
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const left = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("pointerdown", left);
    document.addEventListener("focusin", left);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", left);
      document.removeEventListener("focusin", left);
      document.removeEventListener("keydown", onKey);
    };
  }, [open]);

  return (
    <div className="tg-bell" ref={box}>
      <button
        type="button"
        className="tg-bell-button"
        ref={button}
        aria-label={labels.notificationsUnread(inbox.unread)}
        aria-haspopup="dialog"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        <svg className="tg-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
          <path d="M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10 21h4" />
        </svg>
        {inbox.unread > 0 && (
          <span className="tg-count" aria-hidden="true">
            {inbox.unread > 99 ? "99+" : inbox.unread}
          </span>
        )}
      </button>
      {open && <Panel {...props} labels={labels} id={id} onClose={() => setOpen(false)} />}
      <CountNotice unread={inbox.unread} loading={inbox.loading} labels={labels} />
    </div>
  );
}

function Panel(props: NotificationBellProps & { labels: Labels; id: string; onClose: () => void }) {
  const { inbox, href, onFollow, shown = 5, labels, locale, now, id, onClose } = props;
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []);
  const empty = inbox.error ? inbox.error.message : labels.notificationsNone;
  return (
    <div className="tg-panel" role="dialog" aria-label={labels.notifications} id={id} ref={panel} tabIndex={-1}>
      <div className="tg-panel-head">
        <strong>{labels.notifications}</strong>
        {inbox.unread > 0 && (
          <button type="button" className="tg-link" onClick={() => void inbox.markAllRead()}>
            {labels.markAllRead}
          </button>
        )}
      </div>
      {inbox.notifications.length > 0 ? (
        <NotificationList
          notifications={inbox.notifications.slice(0, shown)}
          onRead={(note) => {
            // The button that was pressed goes away, so the panel keeps the focus.
            panel.current?.focus();
            void inbox.markRead(note);
          }}
          labels={labels}
          locale={locale}
          now={now}
        />
      ) : (
        <p className="tg-muted">{empty}</p>
      )}
      {href && (
        <a
          className="tg-link"
          href={href}
          onClick={(event) => {
            const plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0;
            if (!onFollow || !plain) return;
            event.preventDefault();
            onClose();
            onFollow(href);
          }}
        >
          {labels.notificationsAll}
        </a>
      )}
    </div>
  );
}

/** Tells a screen reader of what comes in, and only of that: not on arrival, nor when something was read. */
function CountNotice({ unread, loading, labels }: { unread: number; loading: boolean; labels: Labels }) {
  const held = useRef<number | undefined>(undefined);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (loading) return;
    if (held.current !== undefined && unread > held.current) setSaid(labels.notificationsUnread(unread));
    held.current = unread;
  }, [unread, loading, labels]);
  return (
    <span className="tg-sr" role="status">
      {said}
    </span>
  );
}
