export { TollgateProvider, type TollgateProviderProps, useTollgate } from "./react/provider.js";
export { type AIComponent, type ExecuteOptions, useAIComponent } from "./react/use-ai-component.js";
export { useLiveMessages } from "./react/use-live-messages.js";
export { type Notifications, useNotifications } from "./react/use-notifications.js";
export { type PlansAnswer, usePlans } from "./react/use-plans.js";
export { type QuotaExceeded, useQuotaExceeded } from "./react/use-quota-exceeded.js";
export {
  type ComponentsAnswer,
  type SubscriptionAnswer,
  useComponents,
  useSubscription,
} from "./react/use-subscription.js";
export { type Usage, useQuota, useUsage } from "./react/use-usage.js";
