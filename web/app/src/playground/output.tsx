import { Badge, Button, CopyButton, Group, Paper, Tabs, Text, Title } from "@mantine/core";
import type { AIComponent } from "@tollgate/react";
import type { AiAnswer, TollgateError } from "@tollgate/react/core";
import type { Ref } from "react";
import { boot } from "../boot";
import { ErrorCard } from "../ui/error-card";
import { Icon } from "../ui/icons";
import { ResultView } from "./result-view";

interface Props {
  ref: Ref<HTMLElement>;
  ai: AIComponent<unknown>;
  /** The answer's schema, which says the order of its parts. */
  schema: unknown;
  started: boolean;
  onShowQuota: (error: TollgateError) => void;
}

/** The answer as it is written, then the answer to read. */
export function Output({ ref, ai, schema, started, onShowQuota }: Props) {
  return (
    <section ref={ref} className="runner-output" aria-labelledby="output-title" aria-busy={ai.loading}>
      <Paper withBorder p="lg" className="surface">
        <Group justify="space-between" gap="xs" mb="sm">
          <Title order={2} size="h4" id="output-title">
            Answer
          </Title>
          <Text size="sm" c="dimmed" role="status">
            {progressOf(ai, started)}
          </Text>
        </Group>
        <Body ai={ai} schema={schema} onShowQuota={onShowQuota} />
      </Paper>
    </section>
  );
}

function progressOf({ loading, error, answer, stream }: AIComponent<unknown>, started: boolean): string {
  if (loading) return stream ? "Writing…" : "Running…";
  if (error) return error.status >= 400 && error.status < 500 ? "Refused" : "Failed";
  if (answer) return "Done";
  return started ? "Stopped" : "";
}

function Body({ ai, schema, onShowQuota }: Pick<Props, "ai" | "schema" | "onShowQuota">) {
  const { error, answer, stream } = ai;
  return (
    <>
      {error && (
        <ErrorCard error={error}>
          {error.isQuotaExceeded && (
            <Button size="xs" variant="default" onClick={() => onShowQuota(error)}>
              See your options
            </Button>
          )}
        </ErrorCard>
      )}
      {answer ? (
        <Answer answer={answer} schema={schema} />
      ) : stream || ai.loading ? (
        <pre className="stream" data-testid="stream">
          {stream}
          {ai.loading && <span className="caret" aria-hidden="true" />}
        </pre>
      ) : (
        !error && <Text c="dimmed">The answer shows here while it is written. Stop it at any time.</Text>
      )}
    </>
  );
}

function Answer({ answer, schema }: { answer: AiAnswer; schema: unknown }) {
  const raw = JSON.stringify(answer.result, null, 2);
  return (
    <>
      {answer.demo && (
        <Text size="sm" className="demo-note">
          Demo answer: made from your input by plain rules, without an AI model.
        </Text>
      )}
      <div className="answer-tabs">
        <Tabs defaultValue="read" variant="default">
          <Tabs.List>
            <Tabs.Tab value="read">Result</Tabs.Tab>
            <Tabs.Tab value="raw">JSON</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="read" pt="md">
            <ResultView value={answer.result} schema={schema} />
          </Tabs.Panel>
          <Tabs.Panel value="raw" pt="md">
            <pre className="stream">{raw}</pre>
          </Tabs.Panel>
        </Tabs>
        <CopyButton value={raw}>
          {({ copied, copy }) => (
            <Button
              className="copy"
              size="compact-sm"
              variant="subtle"
              leftSection={<Icon name="copy" size={16} />}
              onClick={copy}
            >
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
      </div>
      <Facts answer={answer} />
    </>
  );
}

/** What the run cost. */
function Facts({ answer }: { answer: AiAnswer }) {
  const { inputTokens, outputTokens, credits } = answer.usage;
  const number = new Intl.NumberFormat(boot.locale);
  const facts = [
    `${number.format(inputTokens)} tokens in`,
    `${number.format(outputTokens)} tokens out`,
    `${number.format(credits)} credits`,
    answer.model,
  ];
  return (
    <Group gap={6} mt="lg" role="group" aria-label="Cost of this run">
      {facts.map((fact) => (
        <Badge key={fact} variant="light" color="gray" tt="none">
          {fact}
        </Badge>
      ))}
    </Group>
  );
}
