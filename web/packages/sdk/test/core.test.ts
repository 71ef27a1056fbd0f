import { describe, expect, it } from "vitest";
import {
  backoffMs,
  byRisk,
  createResource,
  createUsageStore,
  english,
  figures,
  remainingSentence,
  resetSentence,
  statusWord,
  toneOf,
  usageSentence,
  uuidv7,
  worst,
} from "../src/core/index.js";
import { EventParser } from "../src/core/sse.js";
import { quota, quotas } from "./support.js";

const NOW = Date.parse("2026-11-22T00:00:00Z");

describe("the usage store", () => {
  it("keeps the highest version, whichever comes last", () => {
    const store = createUsageStore();
    store.merge(quotas({ used: 90, version: 5 }));
    store.merge(quotas({ used: 89, version: 4 }));
    expect(store.get().quotas.invoice_ocr?.used).toBe(90);
    store.replace(quotas({ used: 88, version: 3 }));
    expect(store.get().quotas.invoice_ocr?.used).toBe(90);
    store.merge(quotas({ used: 91, version: 6 }));
    expect(store.get().quotas.invoice_ocr?.used).toBe(91);
  });

  it("drops what a whole set no longer names, and keeps it after a part", () => {
    const store = createUsageStore();
    store.replace({ ...quotas(), prompts: quota({ feature: "prompts" }) });
    store.merge(quotas({ version: 2 }));
    expect(Object.keys(store.get().quotas)).toEqual(["invoice_ocr", "prompts"]);
    store.replace(quotas({ version: 3 }));
    expect(Object.keys(store.get().quotas)).toEqual(["invoice_ocr"]);
  });

  it("tells its listeners only of news", () => {
    const store = createUsageStore();
    let told = 0;
    const stop = store.subscribe(() => told++);
    store.merge(quotas({ version: 2 }));
    store.merge(quotas({ version: 2 }));
    store.connection("live");
    store.connection("live");
    expect(told).toBe(2);
    stop();
    store.merge(quotas({ version: 3 }));
    expect(told).toBe(2);
  });
});

describe("the event stream", () => {
  const text = ': hello\r\nevent: delta\r\ndata: {"text":\r\ndata: "é"}\r\nid: 4\r\n\r\ndata:bare\n\nevent: none\n\n';
  const events = [
    { event: "delta", data: '{"text":\n"é"}', id: "4" },
    { event: "message", data: "bare", id: "4" },
  ];

  it("reads events wherever the text is cut", () => {
    for (let at = 0; at <= text.length; at++) {
      const parser = new EventParser();
      expect([...parser.push(text.slice(0, at)), ...parser.push(text.slice(at))]).toEqual(events);
    }
  });

  it("reads them letter by letter", () => {
    const parser = new EventParser();
    expect([...text].flatMap((letter) => parser.push(letter))).toEqual(events);
  });
});

describe("back-off", () => {
  it("doubles up to half a minute and spreads over the upper half", () => {
    expect([0, 1, 2, 3].map((attempt) => backoffMs(attempt, () => 0))).toEqual([250, 500, 1000, 2000]);
    expect([0, 1, 2, 3].map((attempt) => backoffMs(attempt, () => 1))).toEqual([500, 1000, 2000, 4000]);
    expect(backoffMs(50, () => 1)).toBe(10_000);
  });
});

describe("idempotency keys", () => {
  it("are version 7 and begin with the time", () => {
    const key = uuidv7(0x0123456789ab, new Uint8Array(16).fill(0xff));
    expect(key).toBe("01234567-89ab-7fff-bfff-ffffffffffff");
    expect(uuidv7()).not.toBe(uuidv7());
  });
});

describe("the words of a quota", () => {
  it("names each status in color and word", () => {
    const said = (["ok", "warning", "critical", "exceeded"] as const).map((s) => [toneOf(s), statusWord(s)]);
    expect(said).toEqual([
      ["green", "OK"],
      ["yellow", "Near limit"],
      ["red", "Near limit"],
      ["red", "Over limit"],
    ]);
  });

  it("says what was used, of what, in which period", () => {
    expect(usageSentence(quota(), { reset: "billing_month", locale: "en" })).toBe(
      "You've used 87 / 100 analyses this month.",
    );
    const storage = quota({ unit: "bytes", used: 400_000_000, limit: 500_000_000, resetsAt: null });
    expect(usageSentence(storage, { reset: "billing_month", locale: "en" })).toBe("You've used 400 MB / 500 MB.");
    const bytes = (used: number, limit: number) => figures(quota({ unit: "bytes", used, limit }), "en");
    expect(bytes(4_900_000_000, 10_000_000_000)).toBe("4,900 MB / 10,000 MB");
    expect(bytes(5_000_000_000, 5_000_000_000_000)).toBe("5 GB / 5,000 GB");
  });

  it("tells unlimited from limited", () => {
    const free = quota({ used: 1250, limit: null, remaining: null, percentage: null });
    expect(figures(free, "en")).toBe("1,250");
    expect(remainingSentence(free)).toBe("Unlimited");
    expect(remainingSentence(quota(), { locale: "en" })).toBe("13 left");
  });

  it("says when it resets, and nothing where nothing resets", () => {
    expect(resetSentence(quota(), NOW, { locale: "en" })).toBe("Resets in 9 days (December 1, 2026)");
    const soon = quota({ resetsAt: "2026-11-22T05:00:00Z", resetDate: "2026-11-22" });
    expect(resetSentence(soon, NOW, { locale: "en" })).toBe("Resets in 5 hours (November 22, 2026)");
    expect(resetSentence(quota({ resetsAt: null, resetDate: null }), NOW)).toBeUndefined();
  });

  it("takes another language's words", () => {
    const labels = { ...english, used: (shown: string) => `${shown} verbraucht` };
    expect(usageSentence(quota(), { labels, locale: "de" })).toBe("87 / 100 verbraucht");
  });

  it("puts the nearest to trouble first and leaves switches out", () => {
    const all = {
      calm: quota({ feature: "calm", status: "ok", percentage: 79 }),
      over: quota({ feature: "over", status: "exceeded", percentage: 100 }),
      sso: quota({ feature: "sso", kind: "flag", status: "exceeded" }),
      near: quota({ feature: "near", status: "critical", percentage: 95 }),
      early: quota({ feature: "early", status: "warning", percentage: 99 }),
    };
    expect(byRisk(all).map(({ feature }) => feature)).toEqual(["over", "near", "early", "calm"]);
    expect(worst(all)).toBe("exceeded");
    expect(worst({})).toBe("ok");
  });
});

describe("a resource", () => {
  it("drops an answer that a newer fetch has overtaken", async () => {
    const answers: ((data: string) => void)[] = [];
    const kept: string[] = [];
    const resource = createResource(
      () => new Promise<string>((resolve) => answers.push(resolve)),
      (data) => kept.push(data),
    );
    const older = resource.refresh();
    const newer = resource.refresh();
    answers[1]?.("newer");
    await newer;
    answers[0]?.("older");
    await older;
    expect(kept).toEqual(["newer"]);
    expect(resource.get()).toEqual({ data: "newer", loading: false });
  });
});
