// A partition: where its offsets are, its segments, its records.

import { useState } from 'preact/hooks';
import { ask, part, partitionPath, topicPath } from './api.js';
import { bytes, number, percent, plural, time } from './format.js';
import { Facts, Legend, Waiting, Word } from './parts.jsx';
import { Records } from './records.jsx';
import { useLive } from './store.js';
import { Ghost, Strip } from './strip.jsx';
import { Table } from './table.jsx';
import { Actions, Caption, usePlan } from './topic.jsx';

export function Partition({ topic, partition, filter }) {
  const outline = useLive(() => ask(`${topicPath(topic)}/outline?from=${partition}&limit=1`), { key: `${topic} ${partition}`, topic });
  const drawn = outline.data?.partitions[0];
  return (
    <>
      <p class="crumbs"><a href="#">Topics</a> / <a href={`#topic/${part(topic)}`}>{topic}</a></p>
      <h1>Partition {partition}</h1>
      {drawn ? <Loaded {...{ topic, drawn, filter }} now={outline.data.now_ms} reload={outline.reload} />
        : <Waiting error={outline.error}>{outline.data && `${topic} has no partition ${partition}.`}</Waiting>}
    </>
  );
}

function Loaded({ topic, drawn, now, reload, filter }) {
  const { partition, status, stretches, error } = drawn;
  const isCompacted = Boolean(status) && status.first_dirty_offset != null;
  const [plan, look] = usePlan(topic, drawn, isCompacted);
  const [isGhost, showPlan] = useState(false);
  if (!status) return <p class="banner">Could not be loaded: {error}</p>;
  return (
    <>
      <Facts facts={[
        ['Log start', number(status.log_start_offset)],
        isCompacted && ['Cleaned up to', number(status.first_dirty_offset)],
        isCompacted && ['Not cleaned from', number(status.first_uncleanable_offset)],
        ['Last stable', number(status.last_stable_offset)],
        ['Log end', number(status.log_end_offset)],
        ['Size', bytes(status.size_bytes), plural(status.segments, 'segment')],
      ]} />
      <article class="card">
        {isCompacted && <div class="bar"><span class="why"><Word word={status.reason} /> {status.why}</span></div>}
        <Strip label={`Partition ${partition}`} stretches={stretches} plan={plan} />
        {isGhost && plan && <Ghost plan={plan} />}
        {isCompacted && <Caption status={status} now={now} />}
        {isCompacted && <Actions {...{ topic, drawn, reload, look, showPlan }} />}
        {isCompacted && <Legend />}
        {status.last_error && <p class="banner">{time(status.last_error.at_ms)}: {status.last_error.message}</p>}
        {status.damaged_segments.map((it) => <p class="banner" key={it.file}>{it.file}: {it.damage}</p>)}
      </article>
      <Records topic={topic} partition={partition} status={status} firstFilter={filter} isCompacted={isCompacted} />
      <Segments topic={topic} partition={partition} plan={plan} status={status} />
    </>
  );
}

function Segments({ topic, partition, plan, status }) {
  const key = `${topic} ${partition} ${status.segments} ${status.size_bytes} ${status.first_dirty_offset}`;
  const [last, setLast] = useState(null);
  const segments = useLive(async () => {
    const answer = await ask(`${partitionPath(topic, partition)}/segments`);
    setLast(answer.segments);
    return answer.segments;
  }, { key, every: 60_000 });
  const rows = segments.data ?? last;
  const planned = new Map(plan?.segments.map((segment) => [segment.base_offset, segment]));
  const of = (segment) => planned.get(segment.base_offset);
  const section = (segment) => (segment.is_active ? 'active' : status.first_dirty_offset == null ? 'sealed'
    : segment.base_offset < status.first_dirty_offset ? 'tail' : segment.base_offset < status.first_uncleanable_offset ? 'dirty' : 'waiting');
  const share = (segment) => (of(segment)?.live_bytes == null || segment.size_bytes === 0 ? null : Math.min(1, of(segment).live_bytes / segment.size_bytes));
  return (
    <section aria-labelledby="segments">
      <h2 id="segments">Segments</h2>
      {!rows ? <Waiting error={segments.error} /> : (
        <Table caption="Segments" rows={rows} keyOf={(it) => it.base_offset} version={`${key} ${rows.length} ${plan?.now_ms}`} columns={[
          { name: 'Base offset', number: true, value: (it) => it.base_offset, show: (it) => number(it.base_offset) },
          { name: 'End', number: true, hint: 'Exclusive', value: (it) => it.end_offset, show: (it) => number(it.end_offset) },
          { name: 'Size', number: true, value: (it) => it.size_bytes, show: (it) => bytes(it.size_bytes) },
          { name: 'Records', number: true, value: (it) => of(it)?.records, show: (it) => number(of(it)?.records) },
          { name: 'Dead', number: true, value: (it) => of(it)?.dead_records, show: (it) => number(of(it)?.dead_records) },
          { name: 'Live', number: true, value: share, show: (it) => percent(share(it)) },
          { name: 'Tombstones', number: true, value: (it) => of(it)?.tombstones, show: (it) => number(of(it)?.tombstones) },
          { name: 'Newest record', value: (it) => it.max_timestamp_ms, show: (it) => time(it.max_timestamp_ms) },
          { name: 'Section', value: section, show: (it) => <><i class={`key ${section(it)}`} />{section(it)}{of(it)?.damage ? ` · ${of(it).damage}` : ''}</> },
        ]} />
      )}
    </section>
  );
}
