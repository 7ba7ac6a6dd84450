// The cleaner: its threads, what they do now, why everything else waits, what went wrong, what was done last.

import { useState } from 'preact/hooks';
import { ask, part, partitionPath, tell } from './api.js';
import { ago, bytes, number, percent, rate, time } from './format.js';
import { Facts, Progress, Waiting, Word } from './parts.jsx';
import { useLive, useStore } from './store.js';
import { Table } from './table.jsx';
import { Cleanings } from './topic.jsx';

const MOST = 500;

export function Cleaner() {
  const { pulse } = useStore();
  const cleaner = useLive(() => ask('/v1/cleaner'), { key: 'cleaner', every: 2000 });
  const queue = useLive(() => ask(`/v1/compaction?limit=${MOST}`), { key: 'queue', every: 2000 });
  const past = useLive(() => ask('/v1/cleanings'), { key: 'past', every: 2000 });
  const [only, setOnly] = useState('due');
  const partitions = queue.data?.partitions ?? [];
  const troubled = partitions.filter((it) => it.last_error || it.damaged_segments.length > 0);
  const shown = only === 'due' ? partitions.filter((it) => it.reason !== 'clean') : only ? partitions.filter((it) => it.reason === only) : partitions;
  const reasons = Object.entries(cleaner.data?.reasons ?? {});
  return (
    <>
      <h1>Cleaner</h1>
      {pulse && !pulse.is_enabled && <p class="banner">The cleaner is switched off: log.cleaner.enable=false.</p>}
      <Facts facts={[
        ['Threads', pulse ? `${pulse.threads_running} of ${pulse.threads_configured}` : '–', pulse && `${pulse.running.length} busy`],
        ['Reads and writes', rate(pulse?.rates.cleaner_bytes), pulse && (pulse.io_limit_bytes_per_second == null ? 'no limit' : `of ${rate(pulse.io_limit_bytes_per_second)}`)],
        ['Since the start', bytes(cleaner.data?.io_bytes)],
        ['Looked for work', cleaner.data && pulse ? (cleaner.data.last_look_ms == null ? 'not yet' : ago(cleaner.data.last_look_ms, pulse.now_ms)) : '–'],
      ]} />
      <section aria-labelledby="now">
        <h2 id="now">Now</h2>
        {!pulse || pulse.running.length === 0 ? <p class="empty">Nothing is being cleaned.</p> : (
          <ul class="running">{pulse.running.map((it) => (
            <li key={`${it.topic}/${it.partition}`}>
              <a href={`#topic/${part(it.topic)}/${it.partition}`}>{it.topic}-{it.partition}</a>
              <span class="quiet">{it.trigger}, {bytes(it.done_bytes)} of {bytes(it.expected_bytes)}</span><Progress running={it} />
            </li>
          ))}</ul>
        )}
      </section>
      {troubled.length > 0 && (
        <section aria-labelledby="trouble">
          <h2 id="trouble">What went wrong</h2>
          {troubled.map((it) => <Trouble key={`${it.topic}/${it.partition}`} it={it} />)}
        </section>
      )}
      <section aria-labelledby="queue">
        <div class="bar">
          <h2 id="queue">Why not now</h2>
          <select aria-label="Only this reason" value={only} onChange={(event) => setOnly(event.currentTarget.value)}>
            <option value="due">all that are not clean</option>
            <option value="">every reason</option>
            {reasons.map(([word, count]) => <option key={word} value={word}>{word} ({number(count)})</option>)}
          </select>
          {queue.data?.left_off > 0 && <span class="quiet">the first {number(MOST)} of {number(MOST + queue.data.left_off)} partitions</span>}
        </div>
        {!queue.data ? <Waiting error={queue.error} /> : (
          <Table caption="Partitions and why they are not being cleaned" rows={shown} version={`${queue.data.now_ms} ${only}`}
            keyOf={(it) => `${it.topic}/${it.partition}`} sort={3} isDown
            empty={only === 'due' ? 'Every partition is clean.' : only ? 'No partition has this reason.' : 'There is no compacted topic yet.'} columns={[
              { name: 'Partition', class: 'name', value: (it) => `${it.topic}-${it.partition}`,
                show: (it) => <a href={`#topic/${part(it.topic)}/${it.partition}`}>{it.topic}-{it.partition}</a> },
              { name: 'Reason', value: (it) => it.reason, show: (it) => <Word word={it.reason} /> },
              { name: 'In words', class: 'cell', value: (it) => it.why },
              { name: 'Dirty', number: true, value: (it) => it.dirty_ratio, show: (it) => percent(it.dirty_ratio) },
              { name: 'Dirty bytes', number: true, value: (it) => it.head.dirty_bytes, show: (it) => bytes(it.head.dirty_bytes) },
              { name: 'Tail', number: true, value: (it) => it.tail.bytes, show: (it) => bytes(it.tail.bytes) },
              { name: 'Last cleaning', number: true, value: (it) => it.last_cleaning?.started_ms, show: (it) => ago(it.last_cleaning?.started_ms, queue.data.now_ms) },
            ]} />
        )}
      </section>
      <section aria-labelledby="past">
        <h2 id="past">Last cleanings</h2>
        <Cleanings cleanings={past.data?.cleanings ?? []} withTopic />
      </section>
    </>
  );
}

function Trouble({ it }) {
  const { broker } = useStore();
  const [said, setSaid] = useState(null);
  const retry = async () => {
    setSaid('Trying');
    try {
      const { error } = await tell(`${partitionPath(it.topic, it.partition)}/compact?wait=true`);
      setSaid(error ? error.message : 'It was cleaned.');
    } catch (error) {
      setSaid(error.message);
    }
  };
  return (
    <article class="card">
      <div class="bar"><h3><a href={`#topic/${part(it.topic)}/${it.partition}`}>{it.topic}-{it.partition}</a></h3><Word word={it.reason} /></div>
      {it.last_error && <p>{time(it.last_error.at_ms)}: {it.last_error.message}</p>}
      {it.damaged_segments.map(({ file, damage }) => <p key={file}><code>{file}</code>: {damage}</p>)}
      <div class="actions">{broker?.is_admin_enabled !== false && <button type="button" class="small outline" onClick={retry}>Retry now</button>}<output aria-live="polite">{said}</output></div>
    </article>
  );
}
