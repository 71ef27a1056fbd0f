import { describe, expect, it, vi } from "vitest";
import { createClient, TollgateError } from "../src/core/index.js";
import { answer, DONE, FULL, quotas, REFUSAL, refusal, server, streamed } from "./support.js";

const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe("the client", () => {
  it("sends a new idempotency key with each metered call, and the caller's own when given", async () => {
    const keys: (string | undefined)[] = [];
    const fetch = server({
      "/api/usage/consume": ({ headers }) => {
        keys.push((headers as Record<string, string>)["idempotency-key"]);
        return answer({ id: "e1", allowed: true, quotas: quotas() });
      },
    });
    const client = createClient({ fetch });
    const body = { items: [{ feature: "invoice_ocr", amount: 1 }] };
    await client.consume(body);
    await client.consume(body);
    await client.consume(body, "mine");
    expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(keys[1]).not.toBe(keys[0]);
    expect(keys[2]).toBe("mine");
  });

  it("makes the first operator, and says why not", async () => {
    const operator = { token: "t", email: "root@example.com", password: "long-enough-one" };
    const forbidden = { ...REFUSAL, code: "forbidden", status: 403 };
    const sent: unknown[] = [];
    const fetch = server({
      "/api/setup": ({ method, body }) => {
        sent.push([method, JSON.parse(String(body))]);
        return sent.length === 1 ? answer({ created: true }, { status: 201 }) : refusal(forbidden);
      },
    });
    const client = createClient({ fetch });
    await expect(client.setUp(operator)).resolves.toBeUndefined();
    expect(sent).toEqual([["POST", operator]]);
    expect(await caught(client.setUp(operator))).toMatchObject({ code: "forbidden", status: 403 });
  });

  it("sends the host's token, fetched anew for each call, and none on Tollgate's own pages", async () => {
    const sent: (string | undefined)[] = [];
    const fetch = server({
      "/api/usage": ({ headers }) => {
        sent.push((headers as Record<string, string>).authorization);
        return answer(quotas());
      },
    });
    let count = 0;
    const client = createClient({ fetch, token: async () => `t${++count}` });
    await client.usage();
    await client.usage();
    await createClient({ fetch }).usage();
    expect(sent).toEqual(["Bearer t1", "Bearer t2", undefined]);
  });

  it("throws what the problem document says", async () => {
    const fetch = server({ "/api/usage": () => refusal(REFUSAL, { "retry-after": "90" }) });
    const error = await caught(createClient({ fetch }).usage());
    expect(error).toBeInstanceOf(TollgateError);
    expect(error).toMatchObject({
      code: "quota-exceeded",
      status: 429,
      message: "You have used all 100 analyses.",
      instance: "req_7",
      quota: FULL,
      retryAfterSeconds: 90,
      isQuotaExceeded: true,
      isSignedOut: false,
    });
    expect((error as TollgateError).actions.map(({ type }) => type)).toEqual(["upgrade", "contactSales"]);
  });

  it("takes the spent one of several quotas as the cause", async () => {
    const spent = { ...FULL, feature: "prompts" };
    const several = { ...REFUSAL, quota: undefined, quotas: { ...quotas(), prompts: spent } };
    const error = await caught(createClient({ fetch: server({ "/api/usage": () => refusal(several) }) }).usage());
    expect((error as TollgateError).quota?.feature).toBe("prompts");
  });

  it("gives a refusal without a problem document a code too", async () => {
    const fetch = server({ "/api/usage": () => new Response("<html>", { status: 502 }) });
    expect(await caught(createClient({ fetch }).usage())).toMatchObject({ code: "http-502", status: 502 });
  });

  it("tells a server that cannot be reached from one that refuses", async () => {
    const fetch = vi.fn(() => Promise.reject(new TypeError("failed to fetch")));
    expect(await caught(createClient({ fetch }).usage())).toMatchObject({ code: "network-error", status: 0 });
  });

  it("passes an abort on as an abort", async () => {
    const abort = new AbortController();
    abort.abort();
    const fetch = vi.fn((_: unknown, init?: RequestInit) => Promise.reject(init?.signal?.reason));
    const thrown = await caught(createClient({ fetch: fetch as typeof globalThis.fetch }).usage(abort));
    expect(thrown).toMatchObject({ name: "AbortError" });
  });
});

describe("a streamed run", () => {
  function run() {
    const stream = streamed();
    const paths: string[] = [];
    const fetch: typeof globalThis.fetch = async (input) => {
      paths.push(String(input));
      return stream.response;
    };
    const told: string[] = [];
    const answered = createClient({ fetch }).run(
      "invoice_ocr",
      "analyze",
      {},
      {
        stream: true,
        onStart: ({ model }) => told.push(`start ${model}`),
        onDelta: (text) => told.push(text),
      },
    );
    return { stream, paths, told, answered };
  }

  it("tells each piece and resolves with the whole", async () => {
    const { stream, paths, told, answered } = run();
    stream.send("start", { reservation: "rsv_1", model: "demo", provider: "demo", demo: true });
    stream.send("delta", { text: '{"to' });
    stream.send("delta", { text: 'tal":12}' });
    stream.send("done", DONE);
    stream.end();
    expect(await answered).toEqual(DONE);
    expect(told).toEqual(["start demo", '{"to', 'tal":12}']);
    expect(paths).toEqual(["/api/ai/invoice-ocr/analyze"]);
  });

  it("reads on to the end of the body, which it does not cancel", async () => {
    const { stream, answered } = run();
    stream.send("done", DONE);
    await new Promise((read) => setTimeout(read));
    expect(stream.canceled()).toBe(false);
    stream.end();
    expect(await answered).toEqual(DONE);
  });

  it("fails with the problem that ends it", async () => {
    const { stream, answered } = run();
    stream.send("delta", { text: "a" });
    stream.send("error", { code: "upstream-failed", status: 502, title: "Upstream failed" });
    expect(await caught(answered)).toMatchObject({ code: "upstream-failed", status: 502 });
  });

  it("fails when it ends without an end", async () => {
    const { stream, answered } = run();
    stream.send("delta", { text: "a" });
    stream.end();
    expect(await caught(answered)).toMatchObject({ code: "stream-cut" });
  });
});
