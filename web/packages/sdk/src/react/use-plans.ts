import type { PricedPlan, TollgateError } from "../core/index.js";
import { useTollgate } from "./provider.js";
import { useResource } from "./use-usage.js";

export interface PlansAnswer {
  /** What is sold to everybody, in the order of the pricing page; the caller's own is marked. */
  plans: PricedPlan[];
  /** The currency of their prices. */
  currency: string;
  loading: boolean;
  error?: TollgateError;
  refetch: () => Promise<void>;
}

/** The plans on sale, fetched again when the server says that they changed. */
export function usePlans(): PlansAnswer {
  const { plans } = useTollgate();
  const { data, error, loading } = useResource(plans);
  return {
    plans: data?.data ?? [],
    currency: data?.currency ?? "",
    loading: loading && data === undefined,
    error,
    refetch: plans.refresh,
  };
}
