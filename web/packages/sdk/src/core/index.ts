export { backoffMs } from "./backoff.js";
export {
  type CallOptions,
  type ClientOptions,
  type ConsumeBody,
  createClient,
  type HistoryQuery,
  type NotificationQuery,
  type RunOptions,
  type TollgateClient,
} from "./client.js";
export * from "./derive.js";
export { uuidv7 } from "./id.js";
export { createInbox, type InboxState, type InboxStore } from "./inbox.js";
export { english, type Labels } from "./labels.js";
export {
  connectLive,
  type LiveConnection,
  type LiveEnvironment,
  type LiveHandlers,
  type LiveState,
} from "./live.js";
export { asTollgateError, isAbort, TollgateError } from "./problem.js";
export { createResource, type Resource, type ResourceState } from "./resource.js";
export { readEvents, type ServerEvent } from "./sse.js";
export { createUsageStore, type UsageState, type UsageStore } from "./store.js";
export type * from "./wire.js";
