/** One server-sent event, its data lines joined. */
export interface ServerEvent {
  event: string;
  data: string;
  id?: string;
}

/** Reads `text/event-stream` from a body, however the bytes are cut. Ends when the body ends. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // A consumer that stops early must also stop the server's work.
    await reader.cancel().catch(() => undefined);
  }
}

/** Keeps what is left of a cut line, and the fields of an event that has not ended yet. */
export class EventParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id: string | undefined;

  push(text: string): ServerEvent[] {
    this.rest += text;
    const done: ServerEvent[] = [];
    // A lone "\r" at the end may be half of "\r\n", so it waits for the next piece.
    for (let match = LINE.exec(this.rest); match; match = LINE.exec(this.rest)) {
      this.rest = this.rest.slice(match[0].length);
      const ended = this.line(match[1] ?? "");
      if (ended) done.push(ended);
    }
    return done;
  }

  private line(line: string): ServerEvent | undefined {
    if (line === "") return this.end();
    if (line.startsWith(":")) return undefined;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return undefined;
  }

  private end(): ServerEvent | undefined {
    const { event, data } = this;
    this.event = "";
    this.data = [];
    if (data.length === 0) return undefined;
    return { event: event || "message", data: data.join("\n"), id: this.id };
  }
}

const LINE = /^([^\r\n]*)(?:\r\n|\n|\r(?!$))/;
