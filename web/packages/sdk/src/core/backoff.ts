const BASE_MS = 500;
const MAX_MS = 10_000;

/**
 * How long to wait before try number `attempt` (0 is the first retry): a random point in the upper
 * half of a doubling window, so that a restarted server is not met by all its pages at once.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const window = Math.min(MAX_MS, BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.round(window / 2 + (random() * window) / 2);
}
