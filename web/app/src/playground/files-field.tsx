import { ActionIcon, Button, FileButton, Input, Text } from "@mantine/core";
import { amount } from "@tollgate/react/core";
import { type DragEvent, useState } from "react";
import { boot } from "../boot";
import { Icon } from "../ui/icons";
import type { FileInput } from "./schema";

const MEDIA: Record<string, string[]> = {
  pdf: ["application/pdf"],
  image: ["image/png", "image/jpeg", "image/webp", "image/gif"],
};

interface Props {
  label: string;
  description?: string;
  error?: string;
  required: boolean;
  files: FileInput[];
  accepts: readonly string[];
  onChange: (files: FileInput[]) => void;
}

/** Files by button or by drag and drop, read here and sent inside the input. */
export function FilesField({ label, description, error, required, files, accepts, onChange }: Props) {
  const [over, setOver] = useState(false);
  const [refused, setRefused] = useState<string>();
  const media = accepts.flatMap((kind) => MEDIA[kind] ?? []);

  async function add(chosen: File[]) {
    const wrong = chosen.filter((file) => media.length > 0 && !media.includes(file.type));
    setRefused(
      wrong.length > 0 ? `${wrong.map(({ name }) => name).join(", ")}: this kind is not accepted.` : undefined,
    );
    const read = await Promise.all(chosen.filter((file) => !wrong.includes(file)).map(readFile));
    if (read.length > 0) onChange([...files, ...read]);
  }

  function drop(event: DragEvent) {
    event.preventDefault();
    setOver(false);
    void add([...event.dataTransfer.files]);
  }

  return (
    <Input.Wrapper
      label={label}
      labelElement="div"
      description={description}
      error={error ?? refused}
      required={required}
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a shortcut; the button is the keyboard's way */}
      <div
        className="drop"
        data-over={over || undefined}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <FileButton onChange={add} multiple accept={media.join(",")} inputProps={{ "aria-label": label }}>
          {(props) => (
            <Button {...props} variant="default" leftSection={<Icon name="file" size={18} />}>
              Choose files
            </Button>
          )}
        </FileButton>
        <Text size="sm" c="dimmed">
          or drop them here: {kindsOf(accepts)}
        </Text>
      </div>
      <ul className="files">
        {files.map((file, index) => (
          <li key={`${file.name}-${file.data.length}`}>
            <Icon name="file" size={16} />
            <span className="wrap">{file.name}</span>
            <span className="file-size">{amount(Math.round(file.data.length * 0.75), "bytes", boot.locale)}</span>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={`Remove ${file.name}`}
              onClick={() => onChange(files.filter((_, other) => other !== index))}
            >
              <span aria-hidden="true">×</span>
            </ActionIcon>
          </li>
        ))}
      </ul>
    </Input.Wrapper>
  );
}

function kindsOf(accepts: readonly string[]): string {
  const kinds = [accepts.includes("pdf") && "PDF", accepts.includes("image") && "PNG, JPEG, WebP or GIF"];
  return kinds.filter(Boolean).join(", ") || "any kind";
}

function readFile(file: File): Promise<FileInput> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const url = String(reader.result);
      resolve({ name: file.name, mediaType: file.type, data: url.slice(url.indexOf(",") + 1) });
    };
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
