/** Every word the SDK shows. Give your own for another language; functions build whole sentences. */
export interface Labels {
  ok: string;
  nearLimit: string;
  overLimit: string;
  approaching: string;
  limitReached: string;
  unlimited: string;
  used: (figures: string, noun?: string, period?: string) => string;
  remaining: (amount: string) => string;
  reserved: (amount: string) => string;
  credits: (amount: string) => string;
  resets: (relative: string, date: string) => string;
  neverResets: string;
  /** By the plan feature's reset period. */
  periods: Partial<Record<string, string>>;
  detailsOf: (name: string) => string;
  statusChanged: (name: string, status: string) => string;
  connection: Record<"live" | "reconnecting" | "stale", string>;
  dialogTitle: string;
  /** When nothing is left of it; otherwise the server says how much is. */
  dialogUsedUp: (name: string) => string;
  dialogPlans: string;
  dialogPlan: (name: string, limit: string) => string;
  upgrade: string;
  topUp: string;
  contactSales: string;
  deleteSome: string;
  close: string;
  requestId: (id: string) => string;
  notifications: string;
  notificationsUnread: (count: number) => string;
  notificationsNone: string;
  notificationsAll: string;
  markRead: string;
  markReadOf: (title: string) => string;
  markAllRead: string;
  quotaWarning: (name: string, percentage: number) => string;
  quotaReached: (name: string) => string;
}

export const english: Labels = {
  ok: "OK",
  nearLimit: "Near limit",
  overLimit: "Over limit",
  approaching: "Approaching limit. Consider upgrading.",
  limitReached: "Limit reached.",
  unlimited: "Unlimited",
  used: (figures, noun, period) => `You've used ${[figures, noun, period].filter(Boolean).join(" ")}.`,
  remaining: (amount) => `${amount} left`,
  reserved: (amount) => `${amount} held for running calls`,
  credits: (amount) => `${amount} extra credits`,
  resets: (relative, date) => `Resets ${relative} (${date})`,
  neverResets: "Does not reset",
  periods: {
    billing_month: "this month",
    calendar_month: "this month",
    day: "today",
    week: "this week",
    year: "this year",
    hour: "this hour",
    minute: "this minute",
  },
  detailsOf: (name) => `Details of ${name}`,
  statusChanged: (name, status) => `${name}: ${status}`,
  connection: { live: "Live", reconnecting: "Connecting", stale: "Not up to date" },
  dialogTitle: "You've reached your limit",
  dialogUsedUp: (name) => `${name} is used up, so this call was refused. Nothing was charged.`,
  dialogPlans: "More with a bigger plan",
  dialogPlan: (name, limit) => `${name}: ${limit}`,
  upgrade: "Upgrade plan",
  topUp: "Top up",
  contactSales: "Contact sales",
  deleteSome: "Free up space",
  close: "Close",
  requestId: (id) => `Request ${id}`,
  notifications: "Notifications",
  notificationsUnread: (count) => (count === 0 ? "Notifications" : `Notifications, ${count} unread`),
  notificationsNone: "Nothing here yet.",
  notificationsAll: "All notifications",
  markRead: "Mark as read",
  markReadOf: (title) => `Mark as read: ${title}`,
  markAllRead: "Mark all as read",
  quotaWarning: (name, percentage) => `${percentage}% of ${name} used`,
  quotaReached: (name) => `${name} is used up`,
};
