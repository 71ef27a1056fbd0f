import { MantineProvider } from "@mantine/core";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import type { ComponentAction } from "@tollgate/react/core";
import { afterEach, expect, it, vi } from "vitest";
import { InputForm } from "../src/playground/input-form";

afterEach(cleanup);

const ACTION: ComponentAction = {
  name: "ask",
  description: "",
  inputSchema: { required: ["question"], properties: { question: { type: "string" }, strict: { type: "boolean" } } },
  outputSchema: null,
  accepts: ["json"],
  sample: { question: "Why?" },
};

function show(change: Partial<Parameters<typeof InputForm>[0]> = {}) {
  const calls = { onRun: vi.fn(), onStop: vi.fn() };
  const props = { action: ACTION, running: false, serverErrors: [], ...calls, ...change };
  render(<InputForm {...props} />, { wrapper: MantineProvider });
  return calls;
}

const run = () => screen.getByRole("button", { name: "Run" });
const question = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: /Question/ });

it("runs with the sample, and with what is typed over it", () => {
  const { onRun } = show();
  fireEvent.click(run());
  expect(onRun).toHaveBeenLastCalledWith({ question: "Why?", strict: false });
  fireEvent.change(question(), { target: { value: "How?" } });
  fireEvent.click(screen.getByRole("switch", { name: "Strict" }));
  fireEvent.keyDown(question(), { key: "Enter", ctrlKey: true });
  expect(onRun).toHaveBeenLastCalledWith({ question: "How?", strict: true });
});

it("does not run without what is required: it says so and goes there", () => {
  const { onRun } = show();
  fireEvent.change(question(), { target: { value: "  " } });
  fireEvent.click(run());
  expect(onRun).not.toHaveBeenCalled();
  expect(screen.getByText("Fill in this field.")).not.toBeNull();
  expect(document.activeElement).toBe(question());
});

it("shows the server's objection at its field", () => {
  show({ serverErrors: [{ pointer: "/question", detail: "Ask a longer question." }] });
  expect(question().getAttribute("aria-invalid")).toBe("true");
  expect(screen.getByText("Ask a longer question.")).not.toBeNull();
});

it("offers to stop while it runs, and does not run twice", () => {
  const { onRun, onStop } = show({ running: true });
  fireEvent.click(run());
  expect(onRun).not.toHaveBeenCalled();
  fireEvent.click(screen.getByRole("button", { name: "Stop" }));
  expect(onStop).toHaveBeenCalledTimes(1);
});
