import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  TollgateProvider,
  useAIComponent,
  useLiveMessages,
  useNotifications,
  useQuota,
  useQuotaExceeded,
  useSubscription,
  useUsage,
} from "../src/index.js";
import { answer, DONE, FakeSocket, note, quotas, refusal, server, streamed, within } from "./support.js";

const usage = () => answer(quotas());

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("useUsage and useQuota", () => {
  it("fetches once for all who ask", async () => {
    const route = vi.fn(usage);
    const wrapper = within(server({ "/api/usage": route }));
    const { result } = renderHook(() => [useUsage(), useUsage(), useQuota("invoice-ocr")] as const, { wrapper });
    expect(result.current[0].loading).toBe(true);
    await waitFor(() => expect(result.current[0].loading).toBe(false));
    expect(result.current[2]?.used).toBe(87);
    expect(route).toHaveBeenCalledTimes(1);
  });

  it("says what went wrong, and recovers on refetch", async () => {
    let up = false;
    const wrapper = within(server({ "/api/usage": () => (up ? usage() : refusal({ ...DOWN })) }));
    const { result } = renderHook(() => useUsage(), { wrapper });
    await waitFor(() => expect(result.current.error?.code).toBe("unavailable"));
    expect(result.current.loading).toBe(false);
    up = true;
    await act(() => result.current.refetch());
    expect(result.current.error).toBeUndefined();
    expect(result.current.quotas.invoice_ocr?.used).toBe(87);
  });

  it("moves with the live connection, and fetches the plan again when it changes", async () => {
    FakeSocket.opened = [];
    vi.stubGlobal("WebSocket", FakeSocket);
    const plan = vi.fn(() => answer({ subscription: null, plan: null }));
    const fetch = server({
      "/api/usage": usage,
      "/api/subscription": plan,
      "/api/components": () => answer({ data: [] }),
    });
    const { result, unmount } = renderHook(() => [useUsage(), useSubscription()] as const, {
      wrapper: ({ children }) => <TollgateProvider fetch={fetch}>{children}</TollgateProvider>,
    });
    await waitFor(() => expect(result.current[0].loading).toBe(false));
    act(() => FakeSocket.newest.say("usage.updated", "a1", { quotas: quotas({ used: 88, version: 2 }) }));
    expect(result.current[0].quotas.invoice_ocr?.used).toBe(88);
    expect(result.current[0].connection).toBe("live");
    expect(plan).toHaveBeenCalledTimes(1);
    await act(async () => FakeSocket.newest.say("subscription.updated", "a2"));
    await waitFor(() => expect(plan).toHaveBeenCalledTimes(2));
    await act(async () => FakeSocket.newest.say("plan.updated", "a3"));
    await waitFor(() => expect(plan).toHaveBeenCalledTimes(3));
    await act(async () => FakeSocket.newest.say("customer.updated", "a4"));
    await waitFor(() => expect(plan).toHaveBeenCalledTimes(4));
    await act(async () => FakeSocket.newest.say("resync"));
    await waitFor(() => expect(plan).toHaveBeenCalledTimes(5));
    const socket = FakeSocket.newest;
    unmount();
    expect(socket.closed).toBe(true);
  });
});

describe("a plan that grants a feature no more", () => {
  it("takes its meter away", async () => {
    FakeSocket.opened = [];
    vi.stubGlobal("WebSocket", FakeSocket);
    let granted = quotas();
    const fetch = server({
      "/api/usage": () => answer(granted),
      "/api/subscription": () => answer({ subscription: null, plan: null }),
      "/api/components": () => answer({ data: [] }),
    });
    const { result } = renderHook(() => useUsage(), {
      wrapper: ({ children }) => <TollgateProvider fetch={fetch}>{children}</TollgateProvider>,
    });
    await waitFor(() => expect(result.current.quotas.invoice_ocr?.used).toBe(87));
    granted = {};
    act(() => FakeSocket.newest.say("plan.updated", "a1", { plan: "starter" }));
    await waitFor(() => expect(result.current.quotas).toEqual({}));
  });
});

describe("useLiveMessages", () => {
  it("hears what is told beside quotas, by its newest handler, until it is left", async () => {
    FakeSocket.opened = [];
    vi.stubGlobal("WebSocket", FakeSocket);
    const heard: string[] = [];
    const follow = (name: string) => useLiveMessages(({ type }) => heard.push(`${name}: ${type}`));
    const { rerender, unmount } = renderHook(({ name }) => follow(name), {
      initialProps: { name: "first" },
      wrapper: ({ children }) => <TollgateProvider fetch={server({})}>{children}</TollgateProvider>,
    });
    act(() => FakeSocket.newest.say("customer.updated", "a1"));
    rerender({ name: "second" });
    act(() => FakeSocket.newest.say("usage.updated", "a2", { quotas: quotas() }));
    act(() => FakeSocket.newest.say("member.updated", "a3"));
    expect(heard).toEqual(["first: customer.updated", "second: member.updated"]);
    unmount();
  });
});

const DOWN = { code: "unavailable", status: 503, title: "Unavailable" };

function useBoth() {
  return { ai: useAIComponent<{ total: number }>("invoice_ocr"), exceeded: useQuotaExceeded(), usage: useUsage() };
}

function runner(run: (init: RequestInit) => Response | Promise<Response>) {
  const routes = { "/api/usage": usage, "/api/ai/invoice-ocr/analyze": run };
  return renderHook(useBoth, { wrapper: within(server(routes)) });
}

const ACTION = { action: "analyze" };

describe("useAIComponent", () => {
  it("shows the answer as it is written, then the result, its cost and the moved quota", async () => {
    const stream = streamed();
    const { result } = runner(() => stream.response);
    await waitFor(() => expect(result.current.usage.loading).toBe(false));
    let resolved: unknown;
    await act(async () => {
      void result.current.ai.execute({}, ACTION).then((value) => {
        resolved = value;
      });
    });
    expect(result.current.ai.loading).toBe(true);
    await act(async () => stream.send("delta", { text: '{"total"' }));
    await waitFor(() => expect(result.current.ai.stream).toBe('{"total"'));
    expect(result.current.ai.result).toBeUndefined();
    await act(async () => {
      stream.send("done", DONE);
      stream.end();
    });
    await waitFor(() => expect(result.current.ai.loading).toBe(false));
    expect(resolved).toEqual({ total: 12 });
    expect(result.current.ai.result).toEqual({ total: 12 });
    expect(result.current.ai.answer?.usage.credits).toBe(3);
    expect(result.current.ai.quota?.used).toBe(88);
  });

  it("takes the component's first action when none is named", async () => {
    const run = vi.fn(() => answer(DONE));
    const catalog = { data: [{ key: "invoice_ocr", actions: [{ name: "analyze" }, { name: "other" }] }] };
    const fetch = server({
      "/api/usage": usage,
      "/api/components": () => answer(catalog),
      "/api/ai/invoice-ocr/analyze": run,
    });
    const { result } = renderHook(useBoth, { wrapper: within(fetch) });
    await act(() => result.current.ai.execute({}));
    expect(run).toHaveBeenCalledTimes(1);
    expect(result.current.ai.result).toEqual({ total: 12 });
  });

  it("never throws: a refusal is in `error`", async () => {
    const { result } = runner(() => refusal({ ...DOWN }));
    const value = await act(() => result.current.ai.execute({}, ACTION));
    expect(value).toBeUndefined();
    expect(result.current.ai.error?.status).toBe(503);
    expect(result.current.exceeded.problem).toBeNull();
  });

  it("stops when cancelled, without an error, and when the page is left", async () => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const hang = ({ signal }: RequestInit) => {
      signals.push(signal);
      return new Promise<Response>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    };
    const { result, unmount } = runner(hang);
    await act(async () => void result.current.ai.execute({}, ACTION));
    expect(result.current.ai.loading).toBe(true);
    await act(async () => result.current.ai.cancel());
    expect(result.current.ai.loading).toBe(false);
    expect(result.current.ai.error).toBeUndefined();
    expect(signals[0]?.aborted).toBe(true);
    await act(async () => void result.current.ai.execute({}, ACTION));
    unmount();
    expect(signals[1]?.aborted).toBe(true);
  });
});

describe("useQuotaExceeded", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["Date"] }));

  it("holds the refusal until it is dismissed, moves the meter, and can repeat the call", async () => {
    const run = vi.fn(() => refusal());
    const { result } = runner(run);
    await act(() => result.current.ai.execute({ n: 1 }, ACTION));
    expect(result.current.exceeded.problem?.quota?.used).toBe(100);
    expect(result.current.ai.quota?.used).toBe(100);
    await act(async () => result.current.exceeded.retry?.());
    expect(run).toHaveBeenCalledTimes(2);
    act(() => result.current.exceeded.dismiss());
    expect(result.current.exceeded.problem).toBeNull();
  });

  it("does not interrupt twice within a minute, but shows when asked", async () => {
    const { result } = runner(() => refusal());
    const refuse = () => act(() => result.current.ai.execute({}, ACTION));
    await refuse();
    act(() => result.current.exceeded.dismiss());
    await refuse();
    expect(result.current.exceeded.problem).toBeNull();
    const { error } = result.current.ai;
    act(() => error && result.current.exceeded.show(error));
    expect(result.current.exceeded.problem).not.toBeNull();
    act(() => result.current.exceeded.dismiss());
    vi.setSystemTime(Date.now() + 60_001);
    await refuse();
    expect(result.current.exceeded.problem).not.toBeNull();
  });
});

describe("hooks outside a provider", () => {
  it("say what is missing", () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(() => renderHook(() => useUsage())).toThrow("<TollgateProvider>");
  });
});

describe("useNotifications", () => {
  const page = (data: unknown[], unread: number, nextCursor: string | null = null) =>
    answer({ data, nextCursor, unread });
  const READ = "2026-11-22T00:00:00Z";

  it("joins what comes in live to what is shown, and older pages below", async () => {
    FakeSocket.opened = [];
    vi.stubGlobal("WebSocket", FakeSocket);
    const pages: Record<string, () => Response> = {
      "": () => page([note(), note({ id: "ntf_1" })], 2, "older"),
      older: () => page([note({ id: "ntf_0", readAt: READ })], 2),
    };
    const fetch = server({
      "/api/usage": usage,
      "/api/notifications": (_, url) =>
        pages[new URL(url, "http://host").searchParams.get("cursor") ?? ""]?.() as Response,
    });
    const { result, unmount } = renderHook(() => useNotifications(), {
      wrapper: ({ children }) => <TollgateProvider fetch={fetch}>{children}</TollgateProvider>,
    });
    const ids = () => result.current.notifications.map(({ id }) => id);
    expect(result.current.loading).toBe(true);
    await waitFor(() => expect(ids()).toEqual(["ntf_2", "ntf_1"]));
    expect([result.current.unread, result.current.hasMore]).toEqual([2, true]);
    await act(() => result.current.loadMore());
    expect(ids()).toEqual(["ntf_2", "ntf_1", "ntf_0"]);
    expect(result.current.hasMore).toBe(false);
    pages[""] = () => page([note({ id: "ntf_3" }), note()], 3, "another");
    await act(async () => FakeSocket.newest.say("notification.created", "a1"));
    await waitFor(() => expect(ids()).toEqual(["ntf_3", "ntf_2", "ntf_1", "ntf_0"]));
    expect([result.current.unread, result.current.hasMore]).toEqual([3, false]);
    // So much is new that there is a gap: older ones are fetched again from there.
    pages[""] = () => page([note({ id: "ntf_9" })], 9, "older");
    await act(async () => FakeSocket.newest.say("resync"));
    await waitFor(() => expect(ids()).toEqual(["ntf_9"]));
    expect(result.current.hasMore).toBe(true);
    unmount();
  });

  it("marks at once, takes the server's count, and takes back what the server refuses", async () => {
    let refuses = false;
    const wrapper = within(
      server({
        "/api/notifications": () => page([note(), note({ id: "ntf_1" })], 2),
        "/api/notifications/ntf_2/read": () => (refuses ? refusal({ ...DOWN }) : answer({ unread: 1 })),
        "/api/notifications/read": () => answer({ unread: 0 }),
      }),
    );
    const { result } = renderHook(() => useNotifications(), { wrapper });
    await waitFor(() => expect(result.current.unread).toBe(2));
    const unread = () => result.current.notifications.filter(({ readAt }) => readAt === null).map(({ id }) => id);
    await act(() => result.current.markRead("ntf_2"));
    expect([unread(), result.current.unread]).toEqual([["ntf_1"], 1]);
    await act(() => result.current.markAllRead());
    expect([unread(), result.current.unread]).toEqual([[], 0]);
    refuses = true;
    await act(() => result.current.markRead("ntf_2"));
    expect([unread(), result.current.unread]).toEqual([["ntf_2", "ntf_1"], 2]);
    expect(result.current.error?.code).toBe("unavailable");
  });
});
