// Records of a partition, fifty at a time: from an offset or a time, all of them or the last word on each key alone.

import { useEffect, useState } from 'preact/hooks';
import { ask, part, partitionPath } from './api.js';
import { bytes, content, isBinary, number, plural, time } from './format.js';
import { Headers, Value } from './lookup.jsx';
import { Waiting } from './parts.jsx';

const LIMIT = 50;

export function Records({ topic, partition, status, firstFilter, isCompacted }) {
  const [query, setQuery] = useState({ view: 'all', key: firstFilter });
  const [draft, setDraft] = useState({ from: '', key: firstFilter });
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    setDraft((draft) => ({ ...draft, key: firstFilter }));
    setQuery((query) => ({ ...query, key: firstFilter }));
  }, [firstFilter]);
  useEffect(() => {
    let over = false;
    const { offset, time: at, view, key } = query;
    const options = [`limit=${LIMIT}`, `view=${view}`];
    if (offset != null) options.push(`offset=${offset}`);
    if (at != null) options.push(`time=${at}`);
    if (key) options.push(`key=${part(key)}`);
    setBusy(true);
    ask(`${partitionPath(topic, partition)}/records?${options.join('&')}`)
      .then((data) => !over && setAnswer({ data }), (error) => !over && setAnswer({ error }))
      .then(() => !over && setBusy(false));
    return () => { over = true; };
  }, [query]);
  const go = (place) => setQuery({ view: query.view, key: draft.key, ...place });
  const submit = (event) => {
    event.preventDefault();
    const text = draft.from.trim();
    if (text === '') return go({});
    if (/^-?\d+$/.test(text)) return go({ offset: Math.min(Number(text), Number.MAX_SAFE_INTEGER) });
    const at = new Date(text).getTime();
    if (Number.isNaN(at)) return setAnswer({ error: new Error('From is an offset, or a time as 2026-11-24 14:00.') });
    return go({ time: at });
  };
  const data = answer?.data;
  return (
    <section aria-labelledby="records">
      <h2 id="records">Records</h2>
      <form class="bar" onSubmit={submit}>
        <input type="text" aria-label="From: an offset or a time" placeholder="from offset or time" value={draft.from} autocomplete="off"
          onInput={(event) => setDraft({ ...draft, from: event.currentTarget.value })} />
        <input type="search" aria-label="Only keys with this in them" placeholder="key has" value={draft.key} autocomplete="off"
          onInput={(event) => setDraft({ ...draft, key: event.currentTarget.value })} />
        {isCompacted && (
          <select aria-label="Which records" value={query.view} onChange={(event) => setQuery({ ...query, key: draft.key, view: event.currentTarget.value })}>
            <option value="all">all records</option>
            <option value="state">last word on each key</option>
          </select>
        )}
        <button type="submit" class="small">Show</button>
      </form>
      {!data ? <Waiting error={answer?.error} /> : (
        <>
          {data.records.length === 0 ? <p class="empty">{data.is_end ? 'There is no such record from here on.' : `None in ${bytes(data.scanned_bytes)} from here on.`}</p> : (
            <div class="wide" tabindex={0} role="group" aria-label="Records" aria-busy={isBusy}>
              <table class="records">
                <thead><tr><th scope="col" class="number">Offset</th><th scope="col">Time</th><th scope="col">Key</th><th scope="col">Value</th></tr></thead>
                <tbody>{data.records.map((record) => <Row key={record.offset} record={record} />)}</tbody>
              </table>
            </div>
          )}
          <nav class="pager" aria-label="More records">
            <button type="button" class="small outline" disabled={isBusy} onClick={() => go({})}>Oldest</button>
            <button type="button" class="small outline" disabled={isBusy || data.is_end} onClick={() => go({ offset: data.next_offset })}>Next</button>
            <button type="button" class="small outline" disabled={isBusy} onClick={() => go({ offset: Math.max(0, status.last_stable_offset - LIMIT) })}>Newest</button>
            <span class="quiet">{data.records.length > 0 && `${plural(data.records.length, 'record')}, offsets ${number(data.records[0].offset)} to ${number(data.records.at(-1).offset)}`}{data.is_end ? ', the end' : ''}</span>
          </nav>
        </>
      )}
    </section>
  );
}

function Row({ record }) {
  const [isOpen, open] = useState(false);
  const value = content(record.value);
  const short = value?.length > 120 ? `${value.slice(0, 120)}…` : value;
  return (
    <tr>
      <td class="number">{record.offset}</td>
      <td class="time">{time(record.timestamp_ms)}</td>
      <td class="cell">{record.key == null ? <span class="quiet">null</span> : <span class={isBinary(record.key) ? 'hex' : undefined}>{content(record.key)}</span>}</td>
      <td class="cell"><div class="both">
        <div>
          {record.value == null ? <span class="tombstone">† tombstone</span> : isOpen ? <Value value={record.value} />
            : <span class={isBinary(record.value) ? 'short hex' : 'short'}>{short === '' ? '(empty)' : short}</span>}
          {isOpen && record.headers.length > 0 && <Headers headers={record.headers} />}
          {isOpen && record.is_cut && <p class="caption">cut: the whole value has {bytes(record.value_bytes)}; look it up by its key</p>}
        </div>
        {(record.headers.length > 0 || record.is_cut || value?.length > 120 || value?.includes('\n') || value?.[0] === '{') && (
          <button type="button" class="small plain" aria-expanded={isOpen} onClick={() => open(!isOpen)}>{isOpen ? 'less' : 'more'}</button>
        )}
      </div></td>
    </tr>
  );
}
