import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Server {
  url: string;
  password: string;
  /** What it printed before it was ready. */
  said: string;
  /** Ends the process for good, and what it kept with it. */
  stop: () => Promise<void>;
  /** Ends the process; `resume` starts it again on the same port with the same data. */
  pause: () => Promise<void>;
  resume: () => Promise<void>;
}

const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;

export function binaryPath(): string {
  return resolve(process.env.TOLLGATE_BIN ?? join(import.meta.dirname, "../../../target/debug/tollgate"));
}

export interface Start {
  environment?: Record<string, string>;
  /** With the demo's tenants and users, or empty. */
  demo?: boolean;
}

/** Starts the real server on a free port, in a folder or database of its own. */
export async function startServer({ environment = {}, demo = true }: Start = {}): Promise<Server> {
  const database = makeDatabase();
  const data = mkdtempSync(join(tmpdir(), "tollgate-e2e-"));
  const password = randomBytes(12).toString("base64url");
  const env = { ...process.env, TOLLGATE_DEMO_PASSWORD: password, ...environment };
  let child: ChildProcess | undefined;

  async function run(listen: string): Promise<Ready> {
    const args = ["serve", "--listen", listen, "--data", data];
    if (demo) args.push("--demo");
    if (database) args.push("--database-url", database.url);
    child = spawn(binaryPath(), args, { env, stdio: ["ignore", "pipe", "pipe"] });
    return untilReady(child);
  }

  async function pause() {
    if (child) await end(child);
  }

  async function stop() {
    await pause();
    rmSync(data, { recursive: true, force: true });
    database?.drop();
  }

  try {
    const { url, said } = await run("127.0.0.1:0");
    const resume = () => run(new URL(url).host).then(() => undefined);
    return { url, said, password, stop, pause, resume };
  } catch (failure) {
    await stop();
    throw failure;
  }
}

interface Ready {
  url: string;
  said: string;
}

/** Waits for the line `ready http://…`; what the server said instead goes into the error. */
function untilReady(child: ChildProcess): Promise<Ready> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string) => reject(new Error(`The server ${why}. It said:\n${said}`));
    const timer = setTimeout(() => fail(`was not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
    const listen = (chunk: Buffer) => {
      said += chunk;
      const url = /^ready (http:\/\/\S+)/m.exec(said)?.[1];
      if (!url) return;
      clearTimeout(timer);
      resolve({ url, said });
    };
    child.stdout?.on("data", listen);
    child.stderr?.on("data", listen);
    child.on("error", (error) => fail(`did not start (${error.message})`));
    child.on("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}

/** With E2E_DATABASE_URL (a PostgreSQL server where databases may be made), each server gets a fresh one. */
function makeDatabase() {
  const server = process.env.E2E_DATABASE_URL;
  if (!server) return undefined;
  const name = `tollgate_e2e_${randomBytes(6).toString("hex")}`;
  const psql = (sql: string) => execFileSync("psql", [server, "--quiet", "--command", sql], { stdio: "pipe" });
  psql(`CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => psql(`DROP DATABASE ${name} WITH (FORCE)`) };
}
