import type { ReactNode } from "react";
import type { LiveEnvironment, Notification, Quota, Quotas } from "../src/core/index.js";
import { TollgateProvider } from "../src/index.js";

export function quota(change: Partial<Quota> = {}): Quota {
  return {
    feature: "invoice_ocr",
    name: "Invoice OCR",
    kind: "counter",
    unit: "analyses",
    used: 87,
    reserved: 0,
    limit: 100,
    credits: 0,
    remaining: 13,
    percentage: 87,
    resetDate: "2026-12-01",
    resetsAt: "2026-12-01T00:00:00Z",
    status: "warning",
    version: 1,
    ...change,
  };
}

export const quotas = (change: Partial<Quota> = {}): Quotas => ({ invoice_ocr: quota(change) });

export function note(change: Partial<Notification> = {}): Notification {
  return {
    id: "ntf_2",
    kind: "quota_warning",
    customer: "cus_1",
    feature: "invoice_ocr",
    name: "Invoice OCR",
    unit: "analyses",
    threshold: 90,
    used: 90,
    limit: 100,
    percentage: 90,
    resetsAt: "2026-12-01T00:00:00Z",
    createdAt: "2026-11-21T00:00:00Z",
    readAt: null,
    ...change,
  };
}

export const FULL = quota({ used: 100, remaining: 0, percentage: 100, status: "exceeded", version: 9 });

export const REFUSAL = {
  type: "/problems/quota-exceeded",
  code: "quota-exceeded",
  title: "Quota exceeded",
  status: 429,
  detail: "You have used all 100 analyses.",
  instance: "req_7",
  quota: FULL,
  actions: [
    { type: "upgrade", label: "Upgrade", plans: [{ slug: "pro", name: "Professional", limit: 500 }] },
    { type: "contactSales", label: "Sales", href: "https://sales.example/" },
  ],
};

export function answer(body: unknown, init: ResponseInit & { type?: string } = {}): Response {
  const { type = "application/json", ...rest } = init;
  return new Response(JSON.stringify(body), { ...rest, headers: { "content-type": type, ...rest.headers } });
}

export function refusal(body: { status: number } = REFUSAL, headers: Record<string, string> = {}): Response {
  return answer(body, { status: body.status, type: "application/problem+json", headers });
}

/** A stream answer whose end the test decides. */
export function streamed() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let canceled = false;
  const body = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel() {
      canceled = true;
    },
  });
  const encoder = new TextEncoder();
  return {
    response: new Response(body, { headers: { "content-type": "text/event-stream" } }),
    send: (event: string, data: unknown) =>
      controller?.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)),
    end: () => controller?.close(),
    canceled: () => canceled,
  };
}

export const DONE = {
  id: "run_1",
  result: { total: 12 },
  quota: quota({ used: 88, version: 2 }),
  quotas: quotas({ used: 88, version: 2 }),
  usage: { inputTokens: 1, outputTokens: 2, credits: 3 },
  model: "demo",
  provider: "demo",
  demo: true,
};

export type Route = (init: RequestInit, url: string) => Response | Promise<Response>;

/** A server made of routes; the longest path that fits answers, and a call nobody expected fails the test. */
export function server(routes: Record<string, Route>): typeof fetch {
  return async (input, init = {}) => {
    const url = String(input);
    const route = routes[new URL(url, "http://host").pathname];
    if (!route) throw new Error(`Nobody answers ${url}.`);
    return route(init, url);
  };
}

export function within(fetch: typeof globalThis.fetch) {
  return ({ children }: { children: ReactNode }) => (
    <TollgateProvider fetch={fetch} live={false}>
      {children}
    </TollgateProvider>
  );
}

/** Time that stands still until the test moves it. */
export function standingTime() {
  let now = 0;
  let timers: { at: number; run: () => void }[] = [];
  return {
    setTimeout(run: () => void, ms: number) {
      const timer = { at: now + ms, run };
      timers.push(timer);
      return timer;
    },
    clearTimeout(timer: unknown) {
      timers = timers.filter((other) => other !== timer);
    },
    /** Runs what falls due, and lets the promises it started settle. */
    async advance(ms: number) {
      const until = now + ms;
      for (;;) {
        const next = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        now = next.at;
        timers = timers.filter((other) => other !== next);
        next.run();
        await settled();
      }
      now = until;
    },
    get pending() {
      return timers.length;
    },
  };
}

export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

export class FakeSocket {
  static opened: FakeSocket[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  closed = false;

  constructor(readonly url: string) {
    FakeSocket.opened.push(this);
  }

  static get newest(): FakeSocket {
    const socket = FakeSocket.opened.at(-1);
    if (!socket) throw new Error("No socket was opened.");
    return socket;
  }

  say(type: string, id: string | null = null, data: unknown = {}) {
    this.onmessage?.({ data: JSON.stringify({ id, type, at: "2026-11-22T00:00:00Z", data }) });
  }

  drop() {
    this.onclose?.();
  }

  close() {
    this.closed = true;
  }
}

export function environment(time: ReturnType<typeof standingTime>): LiveEnvironment & { wake: EventTarget } {
  return {
    WebSocket: FakeSocket as unknown as typeof WebSocket,
    setTimeout: time.setTimeout,
    clearTimeout: time.clearTimeout,
    random: () => 0,
    wake: new EventTarget(),
    origin: "https://host.example",
  };
}
