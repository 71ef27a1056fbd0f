import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
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

function answer(response: ServerResponse): Call {
  const send = (event: { type: string } & Record<string, unknown>) =>
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const gone = once(response, "close").then(() => undefined);
  const usage = { input_tokens: 12, output_tokens: 1 };
  const block = { type: "text", text: "" };
  response.writeHead(200, { "content-type": "text/event-stream" });
  send({ type: "message_start", message: { id: "msg_1", model: "claude-e2e", usage } });
  send({ type: "content_block_start", index: 0, content_block: block });
  return {
    gone,
    write: (text) => send({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
    end() {
      send({ type: "content_block_stop", index: 0 });
      send({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } });
      send({ type: "message_stop" });
      response.end();
    },
    cut: () => response.destroy(),
  };
}
