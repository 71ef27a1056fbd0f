import { uuidv7 } from "./id.js";
import { asProblem, isAbort, networkProblem, problemFromResponse, TollgateError } from "./problem.js";
import { readEvents } from "./sse.js";
import type {
  AiAnswer,
  AiStart,
  Bucket,
  Component,
  Consumed,
  ConsumeItem,
  History,
  Me,
  MySubscription,
  NotificationPreferences,
  NotificationPreferencesPatch,
  NotificationsPage,
  Plans,
  Quotas,
  Session,
  SetUp,
  Ticket,
} from "./wire.js";

export interface ClientOptions {
  /** Where Tollgate is, without a slash at the end; empty for the page's own origin. */
  baseUrl?: string;
  /**
   * A short-lived browser token that the host's own server minted, or a function that fetches one.
   * Leave it out on Tollgate's own pages: there the session cookie signs in.
   */
  token?: string | (() => string | Promise<string>);
  fetch?: typeof fetch;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface RunOptions extends CallOptions {
  /** Repeats with the same key are answered once and charged once. Made anew when left out. */
  idempotencyKey?: string;
  /** Ask for the answer as it is written. The promise still resolves with the whole. */
  stream?: boolean;
  onStart?: (start: AiStart) => void;
  onDelta?: (text: string) => void;
}

export interface ConsumeBody {
  customer?: string;
  items: ConsumeItem[];
  metadata?: Record<string, unknown>;
}

export interface HistoryQuery {
  feature: string;
  from?: string;
  to?: string;
  bucket?: Bucket;
}

export interface NotificationQuery {
  cursor?: string;
  kind?: string;
  unread?: "true";
}

interface Send extends CallOptions {
  method?: "GET" | "POST" | "PATCH";
  body?: unknown;
  headers?: Record<string, string>;
}

export type TollgateClient = ReturnType<typeof createClient>;

/** The typed calls. Every failure is thrown as a `TollgateError`; only aborts keep their own name. */
export function createClient(options: ClientOptions = {}) {
  const { baseUrl = "" } = options;
  const doFetch = options.fetch ?? ((input, init) => fetch(input, init));

  async function send(path: string, { method = "GET", body, headers, signal }: Send = {}): Promise<Response> {
    const all: Record<string, string> = { accept: "application/json", ...headers };
    const token = typeof options.token === "function" ? await options.token() : options.token;
    if (token) all.authorization = `Bearer ${token}`;
    if (method !== "GET") all["content-type"] = "application/json";
    const init: RequestInit = { method, headers: all, signal };
    if (method !== "GET") init.body = JSON.stringify(body ?? {});
    let response: Response;
    try {
      response = await doFetch(baseUrl + path, init);
    } catch (thrown) {
      throw isAbort(thrown) ? thrown : networkProblem();
    }
    if (!response.ok) throw await problemFromResponse(response);
    return response;
  }

  async function json<T>(path: string, request?: Send): Promise<T> {
    const response = await send(path, request);
    try {
      return (await response.json()) as T;
    } catch (thrown) {
      throw isAbort(thrown) ? thrown : networkProblem();
    }
  }

  async function run<Result>(component: string, action: string, input: unknown, how: RunOptions = {}) {
    const response = await send(`/api/ai/${slug(component)}/${slug(action)}`, {
      method: "POST",
      body: input,
      signal: how.signal,
      headers: {
        accept: how.stream ? "text/event-stream" : "application/json",
        "idempotency-key": how.idempotencyKey ?? uuidv7(),
      },
    });
    const streams = response.headers.get("content-type")?.startsWith("text/event-stream");
    if (streams && response.body) return readAnswer<Result>(response.body, how);
    return (await response.json()) as AiAnswer<Result>;
  }

  return {
    baseUrl,
    usesCookie: options.token === undefined,
    me: (call?: CallOptions) => json<Me>("/api/me", call),
    login: (email: string, password: string) =>
      json<Session>("/api/auth/login", { method: "POST", body: { email, password, session: "cookie" } }),
    logout: () => send("/api/auth/logout", { method: "POST" }).then(() => undefined),
    /** Makes the first operator with the token of the link that a fresh server prints. */
    setUp: (body: SetUp) => send("/api/setup", { method: "POST", body }).then(() => undefined),
    usage: (call?: CallOptions) => json<Quotas>("/api/usage", call),
    history: (query: HistoryQuery, call?: CallOptions) =>
      json<History>(`/api/usage/history?${new URLSearchParams({ ...query })}`, call),
    subscription: (call?: CallOptions) => json<MySubscription>("/api/subscription", call),
    plans: (call?: CallOptions) => json<Plans>("/api/plans", call),
    notifications: (query: NotificationQuery = {}, call?: CallOptions) =>
      json<NotificationsPage>(`/api/notifications?${new URLSearchParams({ ...query })}`, call),
    /** Marks one as read, or all of them without an id; answers how many are left. */
    readNotifications: (id?: string) =>
      json<{ unread: number }>(`/api/notifications/${id ? `${id}/` : ""}read`, { method: "POST" }),
    notificationPreferences: (call?: CallOptions) =>
      json<NotificationPreferences>("/api/me/notification-preferences", call).then((answer) => answer.data),
    /** Kinds and ways that are not named stay as they are. */
    changeNotificationPreferences: (body: NotificationPreferencesPatch) =>
      json<NotificationPreferences>("/api/me/notification-preferences", { method: "PATCH", body }).then(
        (answer) => answer.data,
      ),
    components: (call?: CallOptions) =>
      json<{ data: Component[] }>("/api/components", call).then((answer) => answer.data),
    consume: (body: ConsumeBody, idempotencyKey: string = uuidv7()) =>
      json<Consumed>("/api/usage/consume", {
        method: "POST",
        body,
        headers: { "idempotency-key": idempotencyKey },
      }),
    run,
    ticket: (call?: CallOptions) => json<Ticket>("/api/realtime/ticket", { method: "POST", ...call }),
  };
}

/**
 * Follows a streamed answer to its end. A body that ends without one was cut, which is an error. After `done` the body
 * is read to its end, which follows at once: to cancel it would cost the connection.
 */
async function readAnswer<Result>(body: ReadableStream<Uint8Array>, how: RunOptions): Promise<AiAnswer<Result>> {
  let answer: AiAnswer<Result> | undefined;
  try {
    for await (const { event, data } of readEvents(body)) {
      const value = JSON.parse(data);
      if (event === "start") how.onStart?.(value);
      else if (event === "delta") how.onDelta?.(value.text);
      else if (event === "done") answer = value;
      else if (event === "error") throw new TollgateError(asProblem(value, 502));
    }
  } catch (thrown) {
    if (!answer) throw thrown instanceof TollgateError || isAbort(thrown) ? thrown : cut();
  }
  if (!answer) throw cut();
  return answer;
}

function cut(): TollgateError {
  return new TollgateError({
    code: "stream-cut",
    status: 0,
    title: "The answer was cut off",
    detail: "The connection ended before the answer was complete. Try again.",
  });
}

/** Keys are written with `_` in JSON and with `-` in paths. */
function slug(key: string): string {
  return encodeURIComponent(key.replaceAll("_", "-"));
}
