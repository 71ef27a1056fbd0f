// Who takes part: the ceiling, Tollgate three ways, and the briefs' own design twice.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { start } from "./process.mjs";
import { serve, setUp, sqliteUrl, warmUp } from "./tollgate.mjs";

const bench = join(import.meta.dirname, "..");

/** A bare axum handler in the same binary: it parses the same JSON, answers the same shape and stores nothing. */
export async function ceiling({ binary }) {
  const server = await start(binary, ["bench-ceiling", "--listen", "127.0.0.1:0"]);
  return { name: "ceiling", label: "ceiling (bare axum)", urls: [server.url], pids: [server.pid] };
}

export async function sqlite({ binary, folder, subjects }, name = "sqlite") {
  const home = join(folder, name);
  const { server, key } = await setUp({ binary, folder: home, databaseUrl: sqliteUrl(home), subjects });
  return { name, label: "Tollgate, SQLite", urls: [server.url], pids: [server.pid], servers: [server], key, home };
}

export async function postgres({ binary, folder, subjects, cluster }, name = "postgres") {
  const databaseUrl = await cluster.database(`tollgate_${name}`);
  const home = join(folder, name);
  const { server, key } = await setUp({ binary, folder: home, databaseUrl, subjects });
  const pids = [server.pid, cluster.pid];
  return { name, label: "Tollgate, PostgreSQL", urls: [server.url], pids, servers: [server], key, home, databaseUrl };
}

export async function twoNodes(context) {
  const first = await postgres(context, "nodes");
  const folder = join(context.folder, "second");
  const second = await serve({ binary: context.binary, folder, databaseUrl: first.databaseUrl });
  await warmUp(second.url, first.key, context.subjects);
  return {
    ...first,
    label: "Tollgate, two nodes on one PostgreSQL",
    urls: [...first.urls, second.url],
    pids: [...first.pids, second.pid],
  };
}

async function naive(context, name, label, command, args) {
  const { cluster } = context;
  const database = await cluster.database(`naive_${name}`);
  await cluster.psql(`naive_${name}`, readFileSync(join(bench, "schema.sql"), "utf8"), 300_000);
  const server = await start(command, args, { DATABASE_URL: database });
  return {
    name,
    label,
    urls: [server.url],
    pids: [server.pid, cluster.pid],
    // Each round begins with the same 100 rows of use for each subject.
    beforeRound: () =>
      cluster.psql(
        `naive_${name}`,
        "DELETE FROM usage_tracking WHERE id > 1000000; VACUUM ANALYZE usage_tracking;",
        300_000,
      ),
  };
}

export const naiveAxum = (context) => naive(context, "axum", "the briefs' design in axum", context.naiveBinary, ["0"]);

export const express = (context) =>
  naive(context, "express", "the briefs' design in Express", process.execPath, [
    join(bench, "express/server.mjs"),
    "0",
  ]);
