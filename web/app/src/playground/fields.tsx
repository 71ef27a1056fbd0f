import { NativeSelect, Switch, Textarea, TextInput } from "@mantine/core";
import { FilesField } from "./files-field";
import type { Field, FileInput, Values } from "./schema";

interface Props {
  field: Field;
  value: Values[string];
  error?: string;
  accepts: readonly string[];
  onChange: (value: Values[string]) => void;
}

/** The right control for one field of the input schema. */
export function SchemaField({ field, value, error, accepts, onChange }: Props) {
  const shared = { label: field.label, description: field.help, required: field.required, error, name: field.name };
  const text = typeof value === "string" ? value : "";
  switch (field.kind) {
    case "files":
      return <FilesField {...shared} files={value as FileInput[]} accepts={accepts} onChange={onChange} />;
    case "boolean":
      return (
        <Switch
          {...shared}
          required={false}
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      );
    case "choice":
      return (
        <NativeSelect
          {...shared}
          data={field.required ? field.options : ["", ...(field.options ?? [])]}
          value={text}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case "text":
    case "number":
    case "integer":
      return (
        <TextInput
          {...shared}
          inputMode={field.kind === "text" ? undefined : "decimal"}
          value={text}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    default:
      return (
        <Textarea
          {...shared}
          rows={field.kind === "list" ? 4 : 10}
          resize="vertical"
          spellCheck={field.kind === "longText"}
          classNames={field.kind === "json" ? { input: "mono" } : undefined}
          value={text}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}
