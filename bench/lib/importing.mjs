// What the gate's callers notice of an import of many customers.
import * as contestants from "./contestants.mjs";
import { median, round } from "./load.mjs";
import { sleep, stop } from "./process.mjs";
import { milliseconds, table, whole } from "./report.mjs";
import { signIn } from "./tollgate.mjs";

const CONNECTIONS = 16;
const LINES_AT_ONCE = 1000;
const LIMIT_MS = 3_600_000;

/** Rounds of consumes before, while the lines of an import come and are worked off, and how long the rest then takes. */
export async function importing(context) {
  const rows = [];
  for (const make of [contestants.sqlite, contestants.postgres]) {
    const contestant = await make(context, `importing_${make.name}`);
    const before = await rounds(contestant, context);
    const token = await signIn(contestant.urls[0]);
    const began = performance.now();
    const id = await send(contestant.urls[0], token, context.importCustomers);
    const sent = performance.now();
    const during = await rounds(contestant, context);
    const seen = await progress(contestant.urls[0], token, id);
    if (seen.state === "done") throw new Error("The import was over before the last round: import more customers");
    const rate = seen.done / ((performance.now() - sent) / 1000);
    const end = await finished(contestant.urls[0], token, id);
    const minutes = (performance.now() - began) / 60_000;
    if (end.customersCreated !== context.importCustomers || end.wrong > 0) throw new Error(JSON.stringify(end));
    rows.push(
      [contestant.label, whole(before.rate), milliseconds(before.p50), milliseconds(before.p99), "", ""],
      [
        `${contestant.label}, importing ${whole(context.importCustomers)} customers`,
        whole(during.rate),
        milliseconds(during.p50),
        milliseconds(during.p99),
        whole(rate),
        minutes.toFixed(1),
      ],
    );
    await Promise.all(contestant.servers.map(stop));
  }
  const head = ["contestant", "consumes/s", "p50 ms", "p99 ms", "lines/s beside the load", "minutes in all"];
  return table(head, rows);
}

async function rounds(contestant, { rounds: number, seconds, subjects }) {
  const results = [];
  for (let n = 0; n < number; n++) {
    results.push(await round(contestant, { connections: CONNECTIONS, seconds, subjects, hot: false }));
    if (results.at(-1).failed > 0) throw new Error(`${results.at(-1).failed} consumes failed`);
  }
  const of = (field) => median(results.map((result) => result[field]));
  return { rate: of("rate"), p50: of("p50"), p99: of("p99") };
}

function* lines(customers) {
  for (let first = 0; first < customers; first += LINES_AT_ONCE) {
    const some = Array.from({ length: Math.min(LINES_AT_ONCE, customers - first) }, (_, n) => line(first + n));
    yield Buffer.from(some.join(""));
  }
}

function line(number) {
  const subscription = { plan: "starter", amount: 299, currency: "USD", interval: "month", start: "2026-01-15T00:00:00Z" };
  const customer = { externalId: `imported-${number}`, email: `imported-${number}@long.example`, name: `No. ${number}` };
  return `${JSON.stringify({ ...customer, subscription })}\n`;
}

async function send(url, token, customers) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/x-ndjson" };
  const body = ReadableStream.from(lines(customers));
  const answer = await fetch(`${url}/api/admin/import`, { method: "POST", headers, body, duplex: "half" });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`The import answered ${answer.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text).id;
}

async function progress(url, token, id) {
  const answer = await fetch(`${url}/api/admin/import/${id}`, { headers: { authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`The progress answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

async function finished(url, token, id) {
  for (const began = performance.now(); performance.now() - began < LIMIT_MS; await sleep(1000)) {
    // A token lasts 15 minutes; a longer import needs a new one.
    const seen = await progress(url, token, id).catch(async () => progress(url, (token = await signIn(url)), id));
    if (seen.state === "done") return seen;
  }
  throw new Error(`The import was not done after ${LIMIT_MS / 60_000} minutes`);
}
