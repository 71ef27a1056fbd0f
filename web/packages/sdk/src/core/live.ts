import { backoffMs } from "./backoff.js";
import type { TollgateClient } from "./client.js";
import { asTollgateError, isAbort, type TollgateError } from "./problem.js";
import type { LiveMessage, Quotas } from "./wire.js";

/** `live`: pushed as it happens. `reconnecting`: at most a poll old. `stale`: nobody answers. */
export type LiveState = "live" | "reconnecting" | "stale";

export interface LiveHandlers {
  /** The whole set of quotas. */
  onSnapshot: (quotas: Quotas) => void;
  /** The quotas that changed. */
  onQuotas: (quotas: Quotas) => void;
  onState: (state: LiveState) => void;
  /** Any other message, such as `subscription.updated`; `resync` says that some were missed. */
  onMessage?: (message: LiveMessage) => void;
  /** The sign-in is no longer good; the connection has ended for good. */
  onSignedOut?: (error: TollgateError) => void;
}

/** What the connection needs of its surroundings; tests give their own. */
export interface LiveEnvironment {
  WebSocket: new (url: string) => WebSocket;
  setTimeout: (run: () => void, ms: number) => unknown;
  clearTimeout: (timer: never) => void;
  random: () => number;
  /** Fires `online` when the machine is back on a network. */
  wake: Pick<EventTarget, "addEventListener" | "removeEventListener">;
  origin: string;
}

/** The server pings every 20 s, so two missed pings and a little mean a dead connection. */
const SILENCE_MS = 45_000;
const POLL_MS = 30_000;
/** A short break needs no poll: the next connection answers with what changed. */
const FIRST_POLL_MS = 2_000;

export interface LiveConnection {
  close: () => void;
}

/** Keeps one live connection up until closed, polling while there is none. */
export function connectLive(
  client: Pick<TollgateClient, "baseUrl" | "usesCookie" | "ticket" | "usage">,
  handlers: LiveHandlers,
  environment: Partial<LiveEnvironment> = {},
): LiveConnection {
  const env = { ...browserEnvironment(), ...environment };
  const ended = new AbortController();
  let socket: WebSocket | undefined;
  let cursor: string | undefined;
  let attempt = 0;
  /** Counts connection tries, so that an overtaken one notices. */
  let newest = 0;
  let silence: unknown;
  let retry: unknown;
  let polling: AbortController | undefined;

  const stop = (timer: unknown) => env.clearTimeout(timer as never);

  async function connect() {
    const mine = ++newest;
    stop(retry);
    dropSocket();
    watch();
    let ticket: string | undefined;
    try {
      if (!client.usesCookie) ticket = (await client.ticket({ signal: ended.signal })).ticket;
    } catch (thrown) {
      return mine === newest ? failed(thrown) : undefined;
    }
    if (mine !== newest || ended.signal.aborted) return;
    const opened = new env.WebSocket(liveUrl(client.baseUrl || env.origin, { since: cursor, ticket }));
    socket = opened;
    // A socket that was given up may still speak; only the newest is heard.
    opened.onmessage = (event) => {
      if (socket === opened) receive(JSON.parse(String(event.data)));
    };
    opened.onclose = () => {
      if (socket === opened) lost();
    };
  }

  /** Any message shows that the connection lives; the first one comes at once, if only to say `resumed`. */
  function receive(message: LiveMessage) {
    watch();
    stopPolling();
    handlers.onState("live");
    attempt = 0;
    if (message.id) cursor = message.id;
    if (message.type === "resync") cursor = undefined;
    if (message.type === "snapshot") handlers.onSnapshot(quotasOf(message));
    else if (message.type === "usage.updated") handlers.onQuotas(quotasOf(message));
    else if (message.type !== "ping" && message.type !== "resumed") handlers.onMessage?.(message);
  }

  /** Starts the count of silence anew; a connection that says nothing for too long is given up. */
  function watch() {
    stop(silence);
    silence = env.setTimeout(lost, SILENCE_MS);
  }

  function lost() {
    if (ended.signal.aborted) return;
    newest++;
    stop(silence);
    dropSocket();
    startPolling();
    stop(retry);
    retry = env.setTimeout(() => void connect(), backoffMs(attempt++, env.random));
  }

  function failed(thrown: unknown) {
    if (isAbort(thrown)) return;
    const error = asTollgateError(thrown);
    if (error.isSignedOut) signedOut(error);
    else lost();
  }

  function startPolling() {
    if (polling) return;
    handlers.onState("reconnecting");
    const run = new AbortController();
    polling = run;
    const later = (ms: number) => {
      const timer = env.setTimeout(() => void pollOnce(run.signal).then(() => later(POLL_MS)), ms);
      if (run.signal.aborted) stop(timer);
      else run.signal.addEventListener("abort", () => stop(timer), { once: true });
    };
    later(FIRST_POLL_MS);
  }

  function stopPolling() {
    polling?.abort();
    polling = undefined;
  }

  async function pollOnce(signal: AbortSignal) {
    try {
      const quotas = await client.usage({ signal });
      if (signal.aborted) return;
      handlers.onSnapshot(quotas);
      handlers.onState("reconnecting");
    } catch (thrown) {
      if (signal.aborted || isAbort(thrown)) return;
      const error = asTollgateError(thrown);
      if (error.isSignedOut) signedOut(error);
      else handlers.onState("stale");
    }
  }

  function signedOut(error: TollgateError) {
    close();
    handlers.onSignedOut?.(error);
  }

  function dropSocket() {
    const old = socket;
    socket = undefined;
    old?.close();
  }

  function wake() {
    attempt = 0;
    void connect();
  }

  function close() {
    ended.abort();
    stopPolling();
    stop(silence);
    stop(retry);
    env.wake.removeEventListener("online", wake);
    dropSocket();
  }

  env.wake.addEventListener("online", wake);
  void connect();
  return { close };
}

function quotasOf(message: LiveMessage): Quotas {
  return (message.data as { quotas?: Quotas } | undefined)?.quotas ?? {};
}

function liveUrl(base: string, query: { since?: string; ticket?: string }): string {
  const url = new URL("/api/realtime", base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url.href;
}

/** Read at the call, so that importing this file on a server touches no browser object. */
function browserEnvironment(): LiveEnvironment {
  return {
    WebSocket: globalThis.WebSocket,
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: Math.random,
    wake: globalThis,
    origin: globalThis.location?.origin ?? "",
  };
}
