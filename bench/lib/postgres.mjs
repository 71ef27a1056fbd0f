// One private PostgreSQL for a whole run, with a database for each contestant.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./process.mjs";

const script = join(import.meta.dirname, "../../scripts/postgres.sh");

export async function startPostgres(folder) {
  const url = (await run(script, ["start", folder], { limitMs: 120_000 })).trim();
  const psql = (database, sql, limitMs) =>
    run("psql", [withDatabase(url, database), "-qAt", "-v", "ON_ERROR_STOP=1"], { input: sql, limitMs });
  return {
    pid: Number(readFileSync(join(folder, "data/postmaster.pid"), "utf8").split("\n")[0]),
    psql,
    async database(name) {
      await psql("postgres", `CREATE DATABASE ${name};`);
      return withDatabase(url, name);
    },
    stop: () => run(script, ["stop", folder], { limitMs: 60_000 }),
  };
}

function withDatabase(url, name) {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
