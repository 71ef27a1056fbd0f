import { useCallback, useEffect, useRef, useState } from "react";
import {
  type AiAnswer,
  type AiStart,
  asTollgateError,
  isAbort,
  type Quota,
  type TollgateClient,
  TollgateError,
} from "../core/index.js";
import { useTollgate } from "./provider.js";
import { useQuota } from "./use-usage.js";

export interface ExecuteOptions {
  /** The component's action; its first one when left out. */
  action?: string;
  /** Show the answer as it is written, in `stream`. On unless switched off. */
  stream?: boolean;
  idempotencyKey?: string;
}

export interface AIComponent<Result> {
  /** Runs the component. Resolves with its result, or with undefined when refused or stopped: see `error`. */
  execute: (input: unknown, options?: ExecuteOptions) => Promise<Result | undefined>;
  cancel: () => void;
  result?: Result;
  /** The whole answer: cost, model, whether it is a demo. */
  answer?: AiAnswer<Result>;
  start?: AiStart;
  /** What has been written so far. */
  stream: string;
  quota?: Quota;
  error?: TollgateError;
  loading: boolean;
}

interface State<Result> {
  answer?: AiAnswer<Result>;
  start?: AiStart;
  stream: string;
  error?: TollgateError;
  loading: boolean;
}

const IDLE = { stream: "", loading: false };

/** Runs one AI component; each run is metered, and a quota refusal is told to `useQuotaExceeded`. */
export function useAIComponent<Result = unknown>(component: string): AIComponent<Result> {
  const { client, usage, notice } = useTollgate();
  const [state, setState] = useState<State<Result>>(IDLE);
  const running = useRef<AbortController>(undefined);

  const cancel = useCallback(() => running.current?.abort(), []);
  useEffect(() => cancel, [cancel]);

  const execute = useCallback(
    async (input: unknown, options: ExecuteOptions = {}): Promise<Result | undefined> => {
      running.current?.abort();
      const run = new AbortController();
      running.current = run;
      const patch = (change: (held: State<Result>) => State<Result>) => {
        if (running.current === run) setState(change);
      };
      patch(() => ({ stream: "", loading: true }));
      try {
        const answer = await client.run<Result>(
          component,
          options.action ?? (await firstAction(client, component)),
          input,
          {
            signal: run.signal,
            stream: options.stream ?? true,
            idempotencyKey: options.idempotencyKey,
            onStart: (start) => patch((held) => ({ ...held, start })),
            onDelta: (text) => patch((held) => ({ ...held, stream: held.stream + text })),
          },
        );
        usage.merge(answer.quotas);
        patch((held) => ({ ...held, answer, loading: false }));
        return answer.result;
      } catch (thrown) {
        if (run.signal.aborted || isAbort(thrown)) {
          patch((held) => ({ ...held, loading: false }));
          return undefined;
        }
        const error = asTollgateError(thrown);
        if (error.quotas) usage.merge(error.quotas);
        if (error.quota) usage.merge({ [error.quota.feature]: error.quota });
        patch((held) => ({ ...held, error, loading: false }));
        if (error.isQuotaExceeded) notice.report(error, () => void execute(input, options));
        return undefined;
      }
    },
    [client, usage, notice, component],
  );

  const { answer, ...rest } = state;
  const live = useQuota(component);
  return { execute, cancel, result: answer?.result, answer, quota: live ?? answer?.quota ?? undefined, ...rest };
}

async function firstAction(client: TollgateClient, component: string): Promise<string> {
  const key = component.replaceAll("-", "_");
  const found = (await client.components()).find((candidate) => candidate.key === key);
  const action = found?.actions[0];
  if (action) return action.name;
  const detail = `There is no AI component "${key}" here.`;
  throw new TollgateError({ code: "unknown-component", status: 404, title: "Unknown component", detail });
}
