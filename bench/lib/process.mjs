// Starting, watching and stopping the programs of a benchmark; everything started here is stopped by `stopAll`.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
const CLOCK_TICKS_PER_SECOND = 100;
const running = new Set();

/** Starts a program and waits for its line `ready http://…`. */
export function start(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const at = performance.now();
    let said = "";
    const fail = (why) => reject(new Error(`${command} ${args.join(" ")} ${why}:\n${said.slice(-2000)}`));
    const timer = setTimeout(() => fail("was not ready in time"), READY_WITHIN_MS);
    const listen = (chunk) => {
      said = (said + chunk).slice(-8000);
      const url = /^ready (http:\/\/\S+)/m.exec(said)?.[1];
      if (!url) return;
      clearTimeout(timer);
      // What it says from here on is let go.
      for (const stream of [child.stdout, child.stderr]) stream.off("data", listen).resume();
      resolve({ child, pid: child.pid, url, startedAt: at });
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("error", (error) => fail(error.message));
    child.on("exit", (code) => {
      clearTimeout(timer);
      running.delete(child);
      fail(`ended with ${code}`);
    });
    running.add(child);
  });
}

export async function stop({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}

export async function stopAll() {
  await Promise.all([...running].map((child) => stop({ child })));
}

/** Runs a program to its end and returns what it printed. */
export function run(command, args, { input, limitMs = 60_000, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, timeout: limitMs });
    let printed = "";
    let complained = "";
    child.stdout.on("data", (chunk) => (printed += chunk));
    child.stderr.on("data", (chunk) => (complained += chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(printed) : reject(new Error(`${command} ended with ${code}: ${complained || printed}`)),
    );
    child.stdin.end(input);
  });
}

/** Processor time of these processes and their children so far, in microseconds. */
export function cpuMicros(pids) {
  const wanted = new Set(pids);
  let ticks = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (wanted.has(Number(name)) || wanted.has(Number(fields[1]))) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It ended while the list was read.
    }
  }
  return (ticks * 1e6) / CLOCK_TICKS_PER_SECOND;
}

export function residentMegabytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) / 1024;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
