import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Message, RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { test } from "./test";

/** One call of the model, whose answer the test writes piece by piece. */
export interface Call {
  write: (text: string) => void;
  end: () => void;
  /** Breaks the connection in the middle of the answer. */
  cut: () => void;
  /** Resolves when the caller went away. */
  gone: Promise<void>;
}

export interface Model {
  /** What makes the server use it. */
  environment: Record<string, string>;
  /** The next call that comes in, its answer begun. */
  call: () => Promise<Call>;
}

/** A server that speaks Anthropic's streamed Messages API, for the tests of a file. */
export function useModel(): () => Model {
  const waiting: ServerResponse[] = [];
  const http = createServer((request, response) => {
    request.resume();
    waiting.push(response);
    http.emit("call");
  });
  test.beforeAll(async () => {
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
  });
  test.afterAll(() => {
    http.closeAllConnections();
    http.close();
  });
  return () => {
    const { port } = http.address() as AddressInfo;
    const environment = {
      TOLLGATE_ANTHROPIC_API_KEY: "sk-ant-e2e",
      TOLLGATE_ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}`,
    };
    return {
      environment,
      async call() {
        while (waiting.length === 0) await once(http, "call");
        return answer(waiting.shift() as ServerResponse);
      },
    };
  };
}

const message: Message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-e2e",
  container: null,
  content: [],
  diagnostics: null,
  stop_details: null,
  stop_reason: null,
  stop_sequence: null,
  usage: {
    cache_creation: null,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    inference_geo: null,
    input_tokens: 12,
    output_tokens: 1,
    output_tokens_details: null,
    server_tool_use: null,
    service_tier: "standard",
    speed: null,
  },
};

function answer(response: ServerResponse): Call {
  // The official package's own type: what is written here is what its users read from the real service.
  const send = (event: RawMessageStreamEvent) =>
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const gone = once(response, "close").then(() => undefined);
  response.writeHead(200, { "content-type": "text/event-stream" });
  send({ type: "message_start", message });
  send({ type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } });
  return {
    gone,
    write: (text) => send({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
    end() {
      send({ type: "content_block_stop", index: 0 });
      const { cache_creation_input_tokens, cache_read_input_tokens, input_tokens } = message.usage;
      send({
        type: "message_delta",
        delta: { container: null, stop_details: null, stop_reason: "end_turn", stop_sequence: null },
        usage: {
          cache_creation_input_tokens,
          cache_read_input_tokens,
          input_tokens,
          output_tokens: 9,
          output_tokens_details: null,
          server_tool_use: null,
        },
      });
      send({ type: "message_stop" });
      response.end();
    },
    cut: () => response.destroy(),
  };
}
