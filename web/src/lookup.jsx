// The last committed record of a key.

import { useState } from 'preact/hooks';
import { ask, part, topicPath } from './api.js';
import { content, isBinary, pretty, time } from './format.js';

export function Lookup({ topic }) {
  const [key, setKey] = useState('');
  const [isHex, setHex] = useState(false);
  const [found, setFound] = useState(null);
  const look = async (event) => {
    event.preventDefault();
    try {
      const record = await ask(`${topicPath(topic)}/keys/${part(key)}${isHex ? '?encoding=hex' : ''}`);
      setFound({ record });
    } catch (error) {
      setFound({ error, miss: error.code === 'NO_SUCH_KEY' });
    }
  };
  return (
    <section class="lookup" aria-labelledby="lookup">
      <h2 id="lookup">Look up a key</h2>
      <form class="bar" onSubmit={look}>
        <input type="text" aria-label="Key" placeholder="key" value={key} autocomplete="off" spellcheck={false}
          onInput={(event) => setKey(event.currentTarget.value)} />
        <label class="check"><input type="checkbox" checked={isHex} onChange={(event) => setHex(event.currentTarget.checked)} />as hex</label>
        <button type="submit" class="small">Look up</button>
      </form>
      <output aria-live="polite">{found && <Found topic={topic} {...found} />}</output>
    </section>
  );
}

function Found({ topic, record, error, miss }) {
  if (error) return <p class="empty">{miss ? <><strong>No such key.</strong> </> : null}{error.message}</p>;
  const older = typeof record.key === 'string' && `#topic/${part(topic)}/${record.partition}?key=${part(record.key)}`;
  return (
    <div class="card found">
      <p class="caption">
        {record.deleted ? <strong>† deleted{record.tombstone_until_ms ? `; the tombstone stays until ${time(record.tombstone_until_ms)}` : ''}</strong>
          : <strong>found</strong>}
        {` · partition ${record.partition} · offset ${record.offset} · ${time(record.timestamp_ms)}`}
        {older && <> · <a href={older}>records with this in the key</a></>}
      </p>
      {!record.deleted && <Value value={record.value} />}
      {record.headers.length > 0 && <Headers headers={record.headers} />}
    </div>
  );
}

export function Value({ value }) {
  const text = content(value);
  return <pre class={isBinary(value) ? 'value hex' : 'value'}>{text === '' ? '(empty)' : isBinary(value) ? text : pretty(text)}</pre>;
}

export function Headers({ headers }) {
  return <p class="caption">headers: {headers.map(({ key, value }, index) => (
    <code key={index}>{content(key)}={value == null ? 'null' : content(value)}</code>
  ))}</p>;
}
