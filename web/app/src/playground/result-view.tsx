import { Table } from "@mantine/core";
import type { ReactNode } from "react";
import { boot } from "../boot";
import { words } from "./schema";

type Row = Record<string, unknown>;

/** A component's result for reading: facts as a list, rows as a table, text as text. */
export function ResultView({ value, title }: { value: unknown; title?: string }): ReactNode {
  if (isRow(value)) return <Facts value={value} />;
  if (!Array.isArray(value)) return <Plain value={value} />;
  if (value.length === 0) return <span className="none">None</span>;
  if (value.every(isRow)) return <Rows rows={value} title={title ?? "Items"} />;
  return (
    <ul className="result-list">
      {value.map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a finished answer never reorders
        <li key={index}>
          <ResultView value={item} />
        </li>
      ))}
    </ul>
  );
}

function Facts({ value }: { value: Row }) {
  return (
    <dl className="facts">
      {Object.entries(value).map(([name, item]) => (
        <div key={name} data-wide={(typeof item === "object" && item !== null) || isLong(item) || undefined}>
          <dt>{words(name)}</dt>
          <dd>
            <ResultView value={item} title={words(name)} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Rows({ rows, title }: { rows: Row[]; title: string }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
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
                <Table.Td key={column} data-number={isNumeric(rows, column) || undefined}>
                  <Cell value={row[column]} column={column} rows={rows} />
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

/** Where one number of a column has decimals, all show at least two. */
function Cell({ value, column, rows }: { value: unknown; column: string; rows: Row[] }) {
  if (typeof value !== "number") return <ResultView value={value} title={words(column)} />;
  const whole = rows.every((row) => typeof row[column] !== "number" || Number.isInteger(row[column]));
  return <>{figure(value, whole ? 0 : 2)}</>;
}

function figure(value: number, digits: number): string {
  return new Intl.NumberFormat(boot.locale, { minimumFractionDigits: digits, maximumFractionDigits: 10 }).format(value);
}

function Plain({ value }: { value: unknown }) {
  if (value === null || value === undefined || value === "") return <span className="none">–</span>;
  if (typeof value === "boolean") return <>{value ? "Yes" : "No"}</>;
  if (typeof value === "number") return <>{figure(value, Number.isInteger(value) ? 0 : 2)}</>;
  return <span className="result-text">{String(value)}</span>;
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumeric(rows: Row[], column: string): boolean {
  return rows.every((row) => typeof row[column] === "number" || row[column] === null || row[column] === undefined);
}

function isLong(value: unknown): boolean {
  return typeof value === "string" && value.length > 60;
}
