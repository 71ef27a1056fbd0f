import { beforeEach, describe, expect, it, vi } from "vitest";
import { connectLive, TollgateError } from "../src/core/index.js";
import { environment, FakeSocket, quotas, settled, standingTime } from "./support.js";

function start(change: { usesCookie?: boolean; usage?: () => Promise<never> } = {}) {
  const time = standingTime();
  const env = environment(time);
  const handlers = {
    onSnapshot: vi.fn(),
    onQuotas: vi.fn(),
    onState: vi.fn(),
    onMessage: vi.fn(),
    onSignedOut: vi.fn(),
  };
  const client = {
    baseUrl: "",
    usesCookie: true,
    ticket: vi.fn(async () => ({ ticket: "t1", expiresIn: 30 })),
    usage: vi.fn(async () => quotas({ used: 90 })),
    ...change,
  };
  const connection = connectLive(client, handlers, env);
  return { time, env, handlers, client, connection };
}

const query = (socket: FakeSocket) => new URL(socket.url).searchParams;
const down = () => Promise.reject(new TollgateError({ code: "network-error", status: 0, title: "Down" }));

describe("the live connection", () => {
  beforeEach(() => {
    FakeSocket.opened = [];
  });

  it("opens one socket on the page's own origin and shows what its first message brings", () => {
    const { handlers } = start();
    expect(FakeSocket.newest.url).toBe("wss://host.example/api/realtime");
    expect(handlers.onState).not.toHaveBeenCalled();
    FakeSocket.newest.say("snapshot", "a1", { quotas: quotas() });
    expect(handlers.onSnapshot).toHaveBeenCalledExactlyOnceWith(quotas());
    expect(handlers.onState).toHaveBeenLastCalledWith("live");
  });

  it("fetches a ticket where there is no cookie", async () => {
    start({ usesCookie: false });
    await settled();
    expect(query(FakeSocket.newest).get("ticket")).toBe("t1");
  });

  it("tells changes apart from the whole set, and other messages from both", () => {
    const { handlers } = start();
    FakeSocket.newest.say("usage.updated", "a2", { quotas: quotas({ used: 88 }) });
    FakeSocket.newest.say("subscription.updated", "a3");
    FakeSocket.newest.say("ping");
    expect(handlers.onQuotas).toHaveBeenCalledExactlyOnceWith(quotas({ used: 88 }));
    expect(handlers.onSnapshot).not.toHaveBeenCalled();
    expect(handlers.onMessage.mock.calls.map(([message]) => message.type)).toEqual(["subscription.updated"]);
  });

  it("resumes after the last id it saw; a ping has none and does not count", async () => {
    const { time } = start();
    FakeSocket.newest.say("snapshot", "a1");
    FakeSocket.newest.say("usage.updated", "a2");
    FakeSocket.newest.say("ping", null);
    FakeSocket.newest.drop();
    await time.advance(250);
    expect(FakeSocket.opened).toHaveLength(2);
    expect(query(FakeSocket.newest).get("since")).toBe("a2");
  });

  it("is live again when told that it resumed and nothing was missed", async () => {
    const { time, handlers, client } = start();
    FakeSocket.newest.say("snapshot", "a1");
    FakeSocket.newest.drop();
    expect(handlers.onState).toHaveBeenLastCalledWith("reconnecting");
    await time.advance(250);
    expect(handlers.onState).toHaveBeenLastCalledWith("reconnecting");
    FakeSocket.newest.say("resumed", "a2");
    expect(handlers.onState).toHaveBeenLastCalledWith("live");
    expect(handlers.onMessage).not.toHaveBeenCalled();
    await time.advance(20_000);
    expect(client.usage).not.toHaveBeenCalled();
  });

  it("forgets its place when told to resync, and passes on that messages were missed", async () => {
    const { time, handlers } = start();
    FakeSocket.newest.say("snapshot", "a1");
    FakeSocket.newest.say("resync", "a2");
    expect(handlers.onMessage.mock.calls.map(([message]) => message.type)).toEqual(["resync"]);
    FakeSocket.newest.drop();
    await time.advance(250);
    expect(query(FakeSocket.newest).has("since")).toBe(false);
  });

  it("waits longer after each failure, and anew after a success", async () => {
    const { time } = start();
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const before = FakeSocket.opened.length;
      FakeSocket.newest.drop();
      let waited = 0;
      while (FakeSocket.opened.length === before) {
        await time.advance(50);
        waited += 50;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([250, 500, 1000, 2000]);
    FakeSocket.newest.say("ping");
    FakeSocket.newest.drop();
    const before = FakeSocket.opened.length;
    await time.advance(250);
    expect(FakeSocket.opened.length).toBe(before + 1);
  });

  it("gives up a connection that is silent for 45 s, and any message starts the count anew", async () => {
    const { time, handlers } = start();
    const first = FakeSocket.newest;
    first.say("snapshot", "a1");
    await time.advance(44_000);
    first.say("ping");
    await time.advance(44_999);
    expect(first.closed).toBe(false);
    await time.advance(1);
    expect(first.closed).toBe(true);
    expect(handlers.onState).toHaveBeenLastCalledWith("reconnecting");
  });

  it("does not hear a socket that it gave up", async () => {
    const { time, handlers } = start();
    const first = FakeSocket.newest;
    first.drop();
    await time.advance(250);
    first.say("snapshot", "old", { quotas: quotas() });
    expect(handlers.onSnapshot).not.toHaveBeenCalled();
  });

  it("polls while there is no connection, and stops when there is one", async () => {
    const { time, handlers, client } = start();
    FakeSocket.newest.drop();
    await time.advance(1_999);
    expect(client.usage).not.toHaveBeenCalled();
    await time.advance(1);
    expect(client.usage).toHaveBeenCalledTimes(1);
    expect(handlers.onSnapshot).toHaveBeenCalledWith(quotas({ used: 90 }));
    expect(handlers.onState).toHaveBeenLastCalledWith("reconnecting");
    FakeSocket.newest.say("ping");
    await time.advance(40_000);
    expect(client.usage).toHaveBeenCalledTimes(1);
  });

  it("is stale when the poll fails too", async () => {
    const { time, handlers } = start({ usage: down });
    FakeSocket.newest.drop();
    await time.advance(2_000);
    expect(handlers.onState).toHaveBeenLastCalledWith("stale");
  });

  it("connects at once when the machine is online again", async () => {
    const { time, env } = start();
    for (let i = 0; i < 6; i++) {
      FakeSocket.newest.drop();
      await time.advance(20_000);
    }
    FakeSocket.newest.drop();
    const before = FakeSocket.opened.length;
    env.wake.dispatchEvent(new Event("online"));
    expect(FakeSocket.opened.length).toBe(before + 1);
  });

  it("ends for good when the sign-in is no longer good", async () => {
    const gone = new TollgateError({ code: "unauthenticated", status: 401, title: "Sign in" });
    const { time, handlers } = start({ usage: () => Promise.reject(gone) });
    FakeSocket.newest.drop();
    await time.advance(2_000);
    expect(handlers.onSignedOut).toHaveBeenCalledExactlyOnceWith(gone);
    expect(time.pending).toBe(0);
  });

  it("leaves no timer and no socket behind when closed", async () => {
    const { time, connection } = start();
    FakeSocket.newest.drop();
    connection.close();
    expect(time.pending).toBe(0);
    await time.advance(60_000);
    expect(FakeSocket.opened).toHaveLength(1);
  });
});
