// The one place that names the server's types. All come from its OpenAPI document, by path.
import type { paths } from "../generated/api.js";

type ContentOf<T, MediaType extends string> = T extends { content: { [Key in MediaType]: infer Body } } ? Body : never;
type JsonOf<T> = ContentOf<T, "application/json">;
type RequestOf<Operation> = Operation extends { requestBody: infer Request } ? JsonOf<Request> : never;
type AnswerTo<Operation> = Operation extends { responses: { 200: infer Answer } } ? JsonOf<Answer> : never;

export type Quotas = AnswerTo<paths["/api/usage"]["get"]>;
export type Quota = Quotas[string];
export type QuotaStatus = Quota["status"];
export type History = AnswerTo<paths["/api/usage/history"]["get"]>;
export type Bucket = History["bucket"];
export type Me = AnswerTo<paths["/api/me"]["get"]>;
export type User = Me["user"];
export type Session = AnswerTo<paths["/api/auth/login"]["post"]>;
export type SetUp = RequestOf<paths["/api/setup"]["post"]>;
export type ConsumeItem = { feature: string; amount: number };
export type Consumed = AnswerTo<paths["/api/usage/consume"]["post"]>;
export type MySubscription = AnswerTo<paths["/api/subscription"]["get"]>;
export type Subscription = NonNullable<MySubscription["subscription"]>;
export type Plan = NonNullable<MySubscription["plan"]>;
export type PlanFeature = Plan["features"][number];
export type Plans = AnswerTo<paths["/api/plans"]["get"]>;
export type PricedPlan = Plans["data"][number];
export type NotificationsPage = AnswerTo<paths["/api/notifications"]["get"]>;
export type Notification = NotificationsPage["data"][number];
type Preferences = paths["/api/me/notification-preferences"];
export type NotificationPreferences = AnswerTo<Preferences["get"]>;
export type NotificationPreference = NotificationPreferences["data"][number];
export type NotificationPreferencesPatch = RequestOf<Preferences["patch"]>;
export type Component = AnswerTo<paths["/api/components"]["get"]>["data"][number];
export type ComponentAction = Component["actions"][number];
export type Ticket = AnswerTo<paths["/api/realtime/ticket"]["post"]>;
type Run = paths["/api/ai/{component}/{action}"]["post"];
type AnyAnswer = AnswerTo<Run>;
type RunEvent = ContentOf<Run["responses"][200], "text/event-stream">;

/** What a run of an AI component answers; `Result` is the component's own output. */
export type AiAnswer<Result = unknown> = Omit<AnyAnswer, "result"> & { result: Result };

/**
 * The first event of a stream, known before any text comes: who is asked. The `id` of the recorded use and the model
 * that really answered come with the whole answer.
 */
export type AiStart = Extract<RunEvent, { event: "start" }>["data"];

type Refusal = ContentOf<paths["/api/usage/consume"]["post"]["responses"][429], "application/problem+json">;

/** One field that the server refused, as a JSON pointer into the request body. */
export type FieldError = NonNullable<Refusal["errors"]>[number];

/** What the user can do about a refusal, as the server offers it. */
export type ProblemAction = NonNullable<Refusal["actions"]>[number];

/** A failure. The server fills in all that applies; one that never reached it has a `status` of 0. */
export type Problem = Pick<Refusal, "code" | "status" | "title"> & Partial<Refusal>;

type Message = JsonOf<paths["/api/realtime"]["get"]["responses"][101]>;

/** A message of the live connection. The id is opaque; it only serves to resume. Types not yet known here may come. */
export type LiveMessage = Pick<Message, "id" | "at"> & { type: string; data?: unknown };
