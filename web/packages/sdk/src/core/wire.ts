// The one place that names the server's types. All come from its OpenAPI document, by path.
import type { paths } from "../generated/api.js";

type JsonOf<T> = T extends { content: { "application/json": infer Body } } ? Body : never;

/** The server always sends every field of an answer, null where there is nothing; the document may call such a field optional. */
type Present<T> = unknown extends T
  ? T
  : T extends object
    ? { [Key in keyof T]-?: Present<Exclude<T[Key], undefined>> }
    : T;

type AnswerTo<Operation> = Operation extends { responses: { 200: infer Answer } } ? Present<JsonOf<Answer>> : never;

export type Quotas = AnswerTo<paths["/api/usage"]["get"]>;
export type Quota = Quotas[string];
export type QuotaStatus = Quota["status"];
export type History = AnswerTo<paths["/api/usage/history"]["get"]>;
export type Bucket = History["bucket"];
export type Me = AnswerTo<paths["/api/me"]["get"]>;
export type User = Me["user"];
export type Session = AnswerTo<paths["/api/auth/login"]["post"]>;
export type ConsumeItem = { feature: string; amount: number };
export type Consumed = AnswerTo<paths["/api/usage/consume"]["post"]>;
export type MySubscription = AnswerTo<paths["/api/subscription"]["get"]>;
export type Subscription = NonNullable<MySubscription["subscription"]>;
export type Plan = NonNullable<MySubscription["plan"]>;
export type PlanFeature = Plan["features"][number];
export type Component = AnswerTo<paths["/api/components"]["get"]>["data"][number];
export type ComponentAction = Component["actions"][number];
export type Ticket = AnswerTo<paths["/api/realtime/ticket"]["post"]>;
type AnyAnswer = AnswerTo<paths["/api/ai/{component}/{action}"]["post"]>;

/** What a run of an AI component answers; `Result` is the component's own output. */
export type AiAnswer<Result = unknown> = Omit<AnyAnswer, "result"> & { result: Result };

/** The first event of a stream: known before any text comes. */
export type AiStart = Pick<AnyAnswer, "id" | "model" | "provider" | "demo">;

/** A message of the live connection. The id is opaque; it only serves to resume. */
export interface LiveMessage {
  id: string | null;
  type: string;
  at: string;
  data?: unknown;
}
