// The one place that names the server's types. All come from its OpenAPI document, by path.
import type { paths } from "../generated/api.js";

type BodyOf<T> = T extends { content: infer Content } ? Content[keyof Content] : never;

/** The server always sends every field of an answer, null where there is nothing; the document may call such a field optional. */
type Present<T> = unknown extends T
  ? T
  : T extends object
    ? { [Key in keyof T]-?: Present<Exclude<T[Key], undefined>> }
    : T;

type AnswerTo<Operation> = Operation extends { responses: { 200: infer Answer } } ? Present<BodyOf<Answer>> : never;

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

type Refusal = BodyOf<paths["/api/usage/consume"]["post"]["responses"][429]>;
type Action = NonNullable<Refusal["actions"]>[number];

/** One field that the server refused, as a JSON pointer into the request body. */
export type FieldError = NonNullable<Refusal["errors"]>[number];

/** What the user can do about a refusal, as the server offers it: `upgrade`, `topUp`, `contactSales` or `delete`. */
export type ProblemAction = Pick<Action, "type" | "label"> & {
  plans?: Present<NonNullable<Action["plans"]>>;
  /** Where to do it, if it has an address. */
  href?: string | null;
};

/** A failure. The server fills in all that applies; one that never reached it has a `status` of 0. */
export type Problem = Pick<Refusal, "code" | "status" | "title"> &
  Partial<Omit<Refusal, "actions" | "quota" | "quotas">> & {
    actions?: ProblemAction[];
    quota?: Quota | null;
    quotas?: Quotas;
  };

type Message = BodyOf<paths["/api/realtime"]["get"]["responses"][101]>;

/** A message of the live connection. The id is opaque; it only serves to resume. */
export type LiveMessage = Pick<Message, "type" | "at"> & { id: string | null; data?: unknown };
