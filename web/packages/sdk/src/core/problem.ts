import type { FieldError, Problem, ProblemAction, Quota, Quotas } from "./wire.js";

/** Any failed call: a problem the server sent, or a failure to reach it (`status` 0). */
export class TollgateError extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail?: string;
  readonly type: string;
  /** The request id: what support needs to find the call. */
  readonly instance?: string;
  readonly errors: FieldError[];
  readonly quota?: Quota;
  readonly quotas?: Quotas;
  readonly actions: ProblemAction[];
  readonly decision?: string | null;
  readonly retryAfterSeconds?: number;

  constructor(problem: Problem, retryAfterSeconds?: number) {
    super(problem.detail ?? problem.title);
    this.name = "TollgateError";
    this.code = problem.code;
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.type = problem.type ?? `/problems/${problem.code}`;
    this.instance = problem.instance;
    this.errors = problem.errors ?? [];
    this.quota = problem.quota ?? Object.values(problem.quotas ?? {}).find(isSpent);
    this.quotas = problem.quotas;
    this.actions = problem.actions ?? [];
    this.decision = problem.decision;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  get isQuotaExceeded(): boolean {
    return this.code === "quota-exceeded";
  }

  get isSignedOut(): boolean {
    return this.status === 401;
  }
}

/** Reads a refused answer; an answer that is no problem document still gets a code from its status. */
export async function problemFromResponse(response: Response): Promise<TollgateError> {
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  const seconds = Number.isFinite(retryAfter) ? retryAfter : undefined;
  const body = await response.json().catch(() => undefined);
  return new TollgateError(asProblem(body, response.status), seconds);
}

/** Makes a problem of whatever came; `status` stands in where the body names none. */
export function asProblem(body: unknown, status: number): Problem {
  if (typeof body === "object" && body !== null && "code" in body) {
    return { title: "Request failed", ...body, status: bodyStatus(body) ?? status } as Problem;
  }
  const detail = "The server gave no reason. Try again in a moment.";
  return { code: `http-${status}`, status, title: "Request failed", detail };
}

export function networkProblem(): TollgateError {
  return new TollgateError({
    code: "network-error",
    status: 0,
    title: "No connection",
    detail: "The server could not be reached. Check your connection and try again.",
  });
}

/** Keeps a TollgateError as it is and turns anything else thrown into one; aborts are passed on. */
export function asTollgateError(thrown: unknown): TollgateError {
  return thrown instanceof TollgateError ? thrown : networkProblem();
}

export function isAbort(thrown: unknown): boolean {
  return typeof thrown === "object" && thrown !== null && "name" in thrown && thrown.name === "AbortError";
}

function bodyStatus(body: object): number | undefined {
  return "status" in body && typeof body.status === "number" ? body.status : undefined;
}

function isSpent(quota: Quota): boolean {
  return quota.remaining === 0;
}
