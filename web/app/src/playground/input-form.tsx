import { Button, Group, Kbd, Paper, SegmentedControl, Stack, Text } from "@mantine/core";
import type { ComponentAction, FieldError } from "@tollgate/react/core";
import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { Icon } from "../ui/icons";
import { SchemaField } from "./fields";
import { errorsByField, inputOf, type Values, valuesOf, variantsOf, WHOLE } from "./schema";

interface Props {
  action: ComponentAction;
  running: boolean;
  /** What the server found wrong with the last input. */
  serverErrors: FieldError[];
  onRun: (input: unknown) => void;
  onStop: () => void;
}

/** The form of one action, made from its input schema, with its sample filled in. */
export function InputForm({ action, running, serverErrors, onRun, onStop }: Props) {
  const variants = variantsOf(action.inputSchema);
  const [chosen, setChosen] = useState(0);
  const fields = variants[chosen]?.fields ?? [];
  const allFields = variants.flatMap((variant) => variant.fields);
  const [values, setValues] = useState<Values>(() => valuesOf(allFields, action.sample));
  const [localErrors, setLocalErrors] = useState<Record<string, string>>({});
  const form = useRef<HTMLFormElement>(null);
  const runButton = useRef<HTMLButtonElement>(null);
  const errors = { ...errorsByField(fields, serverErrors), ...localErrors };

  function submit(event: FormEvent) {
    event.preventDefault();
    if (running) return;
    const { input, errors } = inputOf(fields, values);
    setLocalErrors(errors);
    const [first] = Object.keys(errors);
    if (first !== undefined) form.current?.querySelector<HTMLElement>(`[name="${CSS.escape(first)}"]`)?.focus();
    else onRun(input);
  }

  function stop() {
    onStop();
    runButton.current?.focus();
  }

  function submitByKey(event: KeyboardEvent) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
  }

  return (
    <Paper withBorder p="lg" className="surface">
      <form ref={form} onSubmit={submit} onKeyDown={submitByKey} noValidate>
        <Stack>
          {variants.length > 1 && (
            <SegmentedControl
              aria-label="How to give the input"
              fullWidth
              data={variants.map(({ title }, index) => ({ label: title, value: String(index) }))}
              value={String(chosen)}
              onChange={(value) => setChosen(Number(value))}
            />
          )}
          {fields.map((field) => (
            <SchemaField
              key={field.name}
              field={field}
              value={values[field.name] ?? ""}
              error={errors[field.name]}
              accepts={action.accepts}
              onChange={(value) => {
                setValues((held) => ({ ...held, [field.name]: value }));
                setLocalErrors({});
              }}
            />
          ))}
          {errors[WHOLE] && !fields.some(({ name }) => name === WHOLE) && (
            <Text size="sm" c="var(--mantine-color-error)" role="alert">
              {errors[WHOLE]}
            </Text>
          )}
          <Group gap="sm">
            {/* Run stays in place while it runs, so that the focus does. */}
            <Button
              ref={runButton}
              type="submit"
              aria-disabled={running}
              data-disabled={running || undefined}
              leftSection={<Icon name="playground" size={18} />}
            >
              Run
            </Button>
            {running && (
              <Button color="red" variant="light" leftSection={<Icon name="stop" size={18} />} onClick={stop}>
                Stop
              </Button>
            )}
            <Text size="xs" c="dimmed" className="key-hint">
              <Kbd size="xs">Ctrl</Kbd> + <Kbd size="xs">Enter</Kbd>
            </Text>
          </Group>
        </Stack>
      </form>
    </Paper>
  );
}
