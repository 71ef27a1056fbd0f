import { Table } from "@mantine/core";
import type { ReactNode } from "react";
import { boot } from "../boot";
import { inOrder, itemsOf, propertyOf, words } from "./schema";

type Row = Record<string, unknown>;

interface Shown {
  value: unknown;
  /** The part of the output schema that describes the value, if there is one. */
  schema?: unknown;
  title?: string;
}

/** A component's result for reading: facts as a list, rows as a table or cards, text as text. */
export function ResultView({ value, schema, title }: Shown): ReactNode {
  if (isRow(value)) return <Facts value={value} schema={schema} />;
  if (!Array.isArray(value)) return <Plain value={value} schema={schema} />;
  if (value.length === 0) return <span className="none">None</span>;
  const items = itemsOf(schema);
  if (value.every(isRow)) return <Rows rows={value} schema={items} title={title ?? "Items"} />;
  return (
    <ul className="result-list">
      {value.map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a finished answer never reorders
        <li key={index}>
          <ResultView value={item} schema={items} />
        </li>
      ))}
    </ul>
  );
}

function Facts({ value, schema }: { value: Row; schema: unknown }) {
  return (
    <dl className="facts">
      {inOrder(Object.keys(value), schema).map((name) => {
        const item = value[name];
        const wide = (typeof item === "object" && item !== null) || longerThan(item, 60);
        return (
          <div key={name} data-wide={wide || undefined}>
            <dt>{words(name)}</dt>
            <dd>
              <ResultView value={item} schema={propertyOf(schema, name)} title={words(name)} />
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function Rows({ rows, schema, title }: { rows: Row[]; schema: unknown; title: string }) {
  const columns = inOrder([...new Set(rows.flatMap((row) => Object.keys(row)))], schema);
  const prose = columns.filter((column) => rows.some((row) => longerThan(row[column], 40)));
  if (columns.length > 3 && prose.length > 1) return <Cards rows={rows} schema={schema} />;
  return (
    // A wide table scrolls inside its own box, by keyboard too.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="table-box" aria-label={title} tabIndex={0}>
      <Table verticalSpacing={6} horizontalSpacing="sm">
        <Table.Thead>
          <Table.Tr>
            {columns.map((column) => (
              <Table.Th key={column} scope="col" data-number={isNumeric(rows, column) || undefined}>
                {words(column)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a finished answer never reorders
            <Table.Tr key={index}>
              {columns.map((column) => (
                <Table.Td
                  key={column}
                  data-number={isNumeric(rows, column) || undefined}
                  data-prose={prose.includes(column) || undefined}
                >
                  <Cell value={row[column]} schema={propertyOf(schema, column)} column={column} rows={rows} />
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

/** Rows whose texts are too long for columns; what a row lacks is left out of its card. */
function Cards({ rows, schema }: { rows: Row[]; schema: unknown }) {
  return (
    <ul className="result-cards">
      {rows.map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a finished answer never reorders
        <li key={index}>
          <Facts value={withoutBlanks(row)} schema={schema} />
        </li>
      ))}
    </ul>
  );
}

/** Where one number of a column has decimals, all show at least two. */
function Cell({ value, schema, column, rows }: Shown & { column: string; rows: Row[] }) {
  if (typeof value !== "number") return <ResultView value={value} schema={schema} title={words(column)} />;
  const whole = rows.every((row) => typeof row[column] !== "number" || Number.isInteger(row[column]));
  return <>{figure(value, whole ? 0 : 2)}</>;
}

function Plain({ value, schema }: Shown) {
  if (value === null || value === undefined || value === "") return <span className="none">–</span>;
  if (typeof value === "boolean") return <>{value ? "Yes" : "No"}</>;
  if (typeof value === "number") return <>{figure(value, Number.isInteger(value) ? 0 : 2)}</>;
  const text = String(value);
  if (isRow(schema) && Array.isArray(schema.enum)) return <>{words(text)}</>;
  const decimals = DECIMAL.exec(text)?.[1];
  // Sums of money come as text, so that no digit is lost; more digits than a number holds stay as they came.
  if (decimals && text.length <= 15) return <>{figure(Number(text), decimals.length)}</>;
  return <span className="result-text">{text}</span>;
}

const DECIMAL = /^-?\d+\.(\d+)$/;
const NUMBER = /^-?\d+(\.\d+)?$/;

function figure(value: number, digits: number): string {
  return new Intl.NumberFormat(boot.locale, { minimumFractionDigits: digits, maximumFractionDigits: 10 }).format(value);
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withoutBlanks(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null && value !== ""));
}

function isNumeric(rows: Row[], column: string): boolean {
  return rows.every(({ [column]: value }) => {
    return value === null || value === undefined || NUMBER.test(typeof value === "number" ? "0" : String(value));
  });
}

function longerThan(value: unknown, length: number): boolean {
  return typeof value === "string" && value.length > length;
}
