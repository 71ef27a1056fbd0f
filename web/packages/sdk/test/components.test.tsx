import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ConnectionBadge, NotificationBell, QuotaExceededDialog, UsageMeter } from "../src/components/index.js";
import { english, type Problem, TollgateError } from "../src/core/index.js";
import { german } from "../src/de.js";
import { FULL, note, quota, REFUSAL } from "./support.js";

const NOW = Date.parse("2026-11-22T00:00:00Z");
const meter = (change = {}) => <UsageMeter quota={quota(change)} reset="billing_month" locale="en" now={NOW} />;

afterEach(cleanup);

describe("UsageMeter", () => {
  it("is a meter that says everything in words", () => {
    render(meter());
    const element = screen.getByRole("meter", { name: "Invoice OCR" });
    expect(element.getAttribute("aria-valuenow")).toBe("87");
    expect(element.getAttribute("aria-valuemax")).toBe("100");
    expect(element.getAttribute("aria-valuetext")).toBe(
      "You've used 87 / 100 analyses this month. Near limit Resets in 9 days (December 1, 2026)",
    );
  });

  it.each([
    ["ok", "green", "OK", undefined],
    ["warning", "yellow", "Near limit", english.approaching],
    ["critical", "red", "Near limit", english.approaching],
    ["exceeded", "red", "Over limit", english.limitReached],
  ] as const)("shows %s as %s, with icon, word and advice", (status, tone, word, hint) => {
    const { container } = render(meter({ status }));
    expect(container.querySelector(".tg-meter")?.getAttribute("data-tone")).toBe(tone);
    const badge = container.querySelector(".tg-badge");
    expect(badge?.textContent).toBe(word);
    expect(badge?.querySelector("svg")).not.toBeNull();
    expect(container.querySelector(".tg-hint")?.textContent).toBe(hint);
  });

  it("fills the bar by the share used, and never past its end", () => {
    const { container, rerender } = render(meter());
    const fill = () => container.querySelector<HTMLElement>(".tg-fill")?.style.transform;
    expect(fill()).toBe("scaleX(0.87)");
    rerender(meter({ used: 120, percentage: 120 }));
    expect(fill()).toBe("scaleX(1)");
    expect(screen.getByRole("meter").getAttribute("aria-valuemax")).toBe("120");
    rerender(meter({ limit: null, percentage: null, remaining: null, status: "ok" }));
    expect(fill()).toBe("scaleX(0)");
    expect(screen.getByText("Unlimited")).not.toBeNull();
  });

  it("announces a change of level, and neither the arrival nor a tick", () => {
    const { rerender } = render(meter());
    const said = () => screen.getByRole("status").textContent;
    expect(said()).toBe("");
    rerender(meter({ used: 88 }));
    expect(said()).toBe("");
    rerender(meter({ used: 90, status: "critical" }));
    expect(said()).toBe("Invoice OCR: Near limit");
  });

  it("marks the figures as changed only after a change", () => {
    const { container, rerender } = render(meter());
    const changed = () => container.querySelector(".tg-figures")?.hasAttribute("data-changed");
    expect(changed()).toBe(false);
    rerender(meter({ used: 88 }));
    expect(changed()).toBe(true);
  });

  it("has a tooltip of exact figures by keyboard, closed by Escape", () => {
    render(meter({ reserved: 2, credits: 5 }));
    const button = screen.getByRole("button", { name: "Details of Invoice OCR" });
    expect(screen.queryByRole("tooltip")).toBeNull();
    fireEvent.focus(button);
    const tip = screen.getByRole("tooltip");
    expect(tip.textContent).toContain("87 / 100 (87 %)");
    expect(tip.textContent).toContain("13 left");
    expect(tip.textContent).toContain("2 held for running calls");
    expect(tip.textContent).toContain("5 extra credits");
    expect(button.getAttribute("aria-describedby")).toBe(tip.id);
    fireEvent.keyDown(button, { key: "Escape" });
    expect(screen.queryByRole("tooltip")).toBeNull();
  });
});

describe("QuotaExceededDialog", () => {
  function open(change: Partial<Problem> = {}) {
    const calls = { onClose: vi.fn(), onAction: vi.fn() };
    const problem = new TollgateError({ ...(REFUSAL as Problem), ...change });
    const view = render(<QuotaExceededDialog problem={problem} locale="en" now={NOW} {...calls} />);
    return { ...view, ...calls };
  }

  it("is no dialog without a refusal", () => {
    render(<QuotaExceededDialog problem={null} onClose={vi.fn()} />);
    expect(document.querySelector("dialog")).toBeNull();
  });

  it("opens as a modal with what was used, when it resets and what a bigger plan gives", () => {
    open();
    const dialog = screen.getByRole("dialog", { name: english.dialogTitle });
    expect((dialog as HTMLDialogElement).open).toBe(true);
    expect(document.activeElement?.textContent).toBe(english.dialogTitle);
    expect(dialog.textContent).toContain("You've used 100 / 100 analyses");
    expect(dialog.textContent).toContain("Resets in 9 days (December 1, 2026)");
    expect(dialog.textContent).toContain("Professional: 500 analyses");
    expect(dialog.textContent).toContain("Request req_7");
    expect(dialog.textContent).toContain(english.dialogUsedUp("Invoice OCR"));
  });

  it("leaves the reason to the server where something is left, but too little", () => {
    open({ detail: "3 left, 5 asked for.", quota: quota({ used: 97, remaining: 3 }) });
    expect(screen.getByRole("dialog").textContent).toContain("3 left, 5 asked for.");
  });

  it("offers exactly the actions of the refusal", () => {
    const { onAction } = open();
    expect(screen.queryByRole("button", { name: "Top up" })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Upgrade plan" }));
    expect(onAction.mock.calls[0]?.[0]).toMatchObject({ type: "upgrade" });
    expect(screen.getByRole("link", { name: "Contact sales" }).getAttribute("href")).toBe("https://sales.example/");
  });

  it("asks to be closed by its button and by Escape", () => {
    const { onClose } = open();
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    fireEvent(screen.getByRole("dialog"), new Event("cancel", { cancelable: true }));
    expect(onClose).toHaveBeenCalledTimes(2);
  });

  it("gives the focus back to where it was", () => {
    const opener = document.body.appendChild(document.createElement("button"));
    opener.focus();
    const { unmount } = open();
    expect(document.activeElement).not.toBe(opener);
    act(unmount);
    expect(document.activeElement).toBe(opener);
    opener.remove();
  });

  it("offers to free space where the quota is a level", () => {
    open({ quota: { ...FULL, kind: "gauge" }, actions: [{ type: "delete", label: "Delete" }] });
    expect(screen.getByRole("button", { name: "Free up space" })).not.toBeNull();
  });
});

describe("ConnectionBadge", () => {
  it("says the state in words", () => {
    const { rerender } = render(<ConnectionBadge state="live" />);
    expect(screen.getByRole("status").textContent).toBe("Live");
    rerender(<ConnectionBadge state="stale" />);
    expect(screen.getByRole("status").textContent).toBe("Not up to date");
  });
});

describe("NotificationBell", () => {
  const inbox = (change = {}) => ({
    notifications: [note(), note({ id: "ntf_1", kind: "quota_reached", readAt: "2026-11-21T00:00:00Z" })],
    unread: 1,
    loading: false,
    hasMore: false,
    loadMore: vi.fn(),
    markRead: vi.fn(),
    markAllRead: vi.fn(),
    refetch: vi.fn(),
    ...change,
  });

  it("opens a panel with the newest, and gives the focus back when it is left", () => {
    const held = inbox();
    render(<NotificationBell inbox={held} href="/all" locale="en" now={NOW} />);
    const bell = screen.getByRole("button", { name: "Notifications, 1 unread" });
    fireEvent.click(bell);
    const panel = screen.getByRole("dialog", { name: "Notifications" });
    expect(document.activeElement).toBe(panel);
    expect(panel.textContent).toContain("90% of Invoice OCR used90 / 100 analyses · yesterday");
    expect(panel.textContent).toContain("Invoice OCR is used up");
    fireEvent.click(screen.getByRole("button", { name: "Mark as read: 90% of Invoice OCR used" }));
    expect(held.markRead).toHaveBeenCalledWith("ntf_2");
    expect(screen.queryByRole("button", { name: /Invoice OCR is used up/ })).toBeNull();
    fireEvent.keyDown(document, { key: "Escape" });
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(bell);
    fireEvent.click(bell);
    fireEvent.pointerDown(document.body);
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("leaves the way to the page to the host's router", () => {
    const follow = vi.fn();
    render(<NotificationBell inbox={inbox()} href="/all" onFollow={follow} />);
    fireEvent.click(screen.getByRole("button", { name: /^Notifications/ }));
    const link = screen.getByRole("link", { name: "All notifications" });
    expect(fireEvent.click(link)).toBe(false);
    expect(follow).toHaveBeenCalledWith("/all");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("announces what comes in, and neither the arrival nor what was read", () => {
    const { rerender } = render(<NotificationBell inbox={inbox({ unread: 0, loading: true })} />);
    const said = () => screen.getByRole("status").textContent;
    rerender(<NotificationBell inbox={inbox({ unread: 2 })} />);
    rerender(<NotificationBell inbox={inbox({ unread: 1 })} />);
    expect(said()).toBe("");
    rerender(<NotificationBell inbox={inbox({ unread: 2 })} labels={german} />);
    expect(said()).toBe("Mitteilungen, 2 ungelesen");
  });
});

it("has every word in German, too", () => {
  expect(Object.keys(german)).toEqual(Object.keys(english));
  const same = Object.entries(english).filter(
    ([key, word]) => typeof word === "string" && word === german[key as "ok"],
  );
  expect(same.map(([key]) => key)).toEqual(["ok"]);
});
