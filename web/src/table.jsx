// Tables: sorted by a click on a heading, two hundred rows and then more.

import { useMemo, useState } from 'preact/hooks';
import { number } from './format.js';

const ROWS = 200;

const classOf = (column, name) => [name, column.rare && 'rare'].filter(Boolean).join(' ') || undefined;

// `columns`: { name, value(row), show?(row), number?, hint?, rare? }, the last for what a phone leaves out; `version` changes when the rows do. `sort` is the first order.
export function Table({ caption, columns, rows, keyOf, version, sort = 0, isDown = false, fixed = false, empty }) {
  const [order, setOrder] = useState({ column: sort, down: isDown });
  const [shown, setShown] = useState(ROWS);
  const sorted = useMemo(() => {
    if (fixed) return rows;
    const by = columns[Math.min(order.column, columns.length - 1)].value;
    const keyed = rows.map((row) => [by(row), row]);
    const sign = order.down ? -1 : 1;
    // What is not known comes last, either way.
    keyed.sort(([a], [b]) => (a == null ? (b == null ? 0 : 1) : b == null ? -1 : a < b ? -sign : a > b ? sign : 0));
    return keyed.map(([, row]) => row);
  }, [version ?? rows, order, columns.length, fixed]);
  if (rows.length === 0) return <p class="empty">{empty ?? 'Nothing here.'}</p>;
  return (
    <>
      <div class="wide" tabindex={0} role="group" aria-label={caption}>
        <table>
          <caption class="hidden">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column, index) => {
                const is = order.column === index && !fixed;
                const head = <span title={column.hint}>{column.name}</span>;
                return (
                  <th key={column.name} scope="col" class={classOf(column, column.number && 'number')}
                    aria-sort={is ? (order.down ? 'descending' : 'ascending') : undefined}>
                    {fixed ? head : (
                      <button type="button" class="plain" onClick={() => setOrder({ column: index, down: is ? !order.down : Boolean(column.number) })}>
                        {head}<span class="order" aria-hidden="true">{is ? (order.down ? '↓' : '↑') : ''}</span>
                      </button>
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, shown).map((row) => (
              <tr key={keyOf(row)}>
                {columns.map((column) => (
                  <td key={column.name} class={classOf(column, column.class ?? (column.number && 'number'))}>
                    {column.show ? column.show(row) : column.value(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > shown && (
        <p><button type="button" class="small outline" onClick={() => setShown(shown + ROWS)}>
          Show more: {number(shown)} of {number(sorted.length)} are here
        </button></p>
      )}
    </>
  );
}
