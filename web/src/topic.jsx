// A topic: lookup, its partitions drawn, what can be done to them, live and dead bytes, the last cleanings, its settings.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, part, partitionPath, tell, topicPath } from './api.js';
import { LiveAndDead } from './chart.jsx';
import { ago, bytes, DASH, duration, number, percent, plural, rate, time } from './format.js';
import { Lookup } from './lookup.jsx';
import { Facts, Legend, Progress, Waiting, Word } from './parts.jsx';
import { refreshTopic, useLive, useStore } from './store.js';
import { Ghost, Strip } from './strip.jsx';
import { Table } from './table.jsx';
import { liveShare } from './topics.jsx';

const PAGE = 24;
const MOST_POINTS = 600;
// A plan reads every key index of a log, so a page asks for one by itself only where that is little.
const PLANNED_BYTES = 256 << 20;
const MOST_PLANNED = 8;

export function Topic({ name }) {
  const { topics, isLoaded, rates, link, pulse } = useStore();
  const [from, setFrom] = useState(0);
  const outline = useLive(() => ask(`${topicPath(name)}/outline?from=${from}&limit=${PAGE}`), { key: `${name} ${from}`, topic: name });
  const detail = useLive(() => ask(topicPath(name)), { key: name, every: 30_000 });
  const past = useLive(() => ask(`/v1/cleanings?topic=${part(name)}`), { key: name, every: 5_000 });
  const topic = topics.get(name) ?? detail.data;
  const points = usePoints(topic, pulse);
  if (!topic) {
    return <><h1>{name}</h1><Waiting error={detail.error ?? outline.error}>{isLoaded ? 'There is no such topic.' : undefined}</Waiting></>;
  }
  const isCompacted = topic.cleanup_policy.includes('compact');
  const count = outline.data?.partition_count ?? topic.partitions;
  return (
    <>
      <p class="crumbs"><a href="#">Topics</a></p>
      <h1>{name}</h1>
      {detail.error && link === 'live' && <p class="banner">{detail.error.message}</p>}
      <Facts facts={[
        ['Policy', topic.cleanup_policy || DASH],
        ['Records', number(topic.records), topic.records !== topic.offsets && topic.records != null && `${number(topic.offsets)} offsets`],
        isCompacted && ['Live keys', number(topic.live_keys)],
        isCompacted && ['Live', percent(liveShare(topic)), topic.dead_bytes != null && `${bytes(topic.dead_bytes)} dead`],
        ['Size', bytes(topic.size_bytes)],
        ['In', rate(rates.get(name)?.at(-1) ?? 0)],
      ]} />
      {isCompacted && <Lookup topic={name} />}
      <section aria-labelledby="partitions">
        <div class="bar"><h2 id="partitions">{plural(count, 'partition')}</h2>{isCompacted && <Legend />}</div>
        {!outline.data ? <Waiting error={outline.error} /> : (
          <div class="partitions">
            {outline.data.partitions.map((drawn, index) => (
              <PartitionCard key={drawn.partition} topic={name} drawn={drawn} now={outline.data.now_ms} reload={outline.reload}
                plans={index < MOST_PLANNED && isCompacted} isCompacted={isCompacted} />
            ))}
          </div>
        )}
        {count > PAGE && <Pager from={from} count={count} go={setFrom} />}
      </section>
      {isCompacted && <LiveAndDead points={points} />}
      {isCompacted && (
        <section aria-labelledby="cleanings">
          <h2 id="cleanings">Last cleanings</h2>
          <Cleanings cleanings={past.data?.cleanings.slice(0, 20) ?? []} />
        </section>
      )}
      <section aria-labelledby="settings">
        <h2 id="settings">Settings of this topic</h2>
        {!detail.data ? <Waiting error={detail.error} /> : Object.keys(detail.data.configs).length === 0
          ? <p class="empty">None: every setting has the broker's default.</p>
          : <dl class="settings">{Object.entries(detail.data.configs).map(([key, value]) => (
            <div key={key}><dt><code>{key}</code></dt><dd><code>{value}</code></dd></div>
          ))}</dl>}
      </section>
    </>
  );
}

// Live and dead bytes of the topic while its page is open, by the second.
function usePoints(topic, pulse) {
  const points = useRef([]);
  const last = points.current.at(-1);
  if (topic && pulse && pulse.now_ms - (last?.at_ms ?? 0) >= 900) {
    points.current.push({ at_ms: pulse.now_ms, live: topic.live_bytes, dead: topic.dead_bytes, size: topic.size_bytes });
    if (points.current.length > MOST_POINTS) points.current.shift();
  }
  return points.current;
}

function Pager({ from, count, go }) {
  return (
    <nav class="pager" aria-label="More partitions">
      <button type="button" class="small outline" disabled={from === 0} onClick={() => go(Math.max(0, from - PAGE))}>Previous</button>
      <span>{number(from)} to {number(Math.min(from + PAGE, count) - 1)} of {number(count)}</span>
      <button type="button" class="small outline" disabled={from + PAGE >= count} onClick={() => go(from + PAGE)}>Next</button>
      <label>go to <input type="number" min={0} max={count - 1} onChange={(event) => {
        const wanted = Number(event.currentTarget.value);
        if (Number.isInteger(wanted) && wanted >= 0 && wanted < count) go(wanted);
      }} /></label>
    </nav>
  );
}

// What a cleaning would do, asked for when somebody wants it, or by itself when it is cheap; asked again when the
// segments have changed.
export function usePlan(topic, drawn, isCheap) {
  const [plan, setPlan] = useState(null);
  const shape = drawn.stretches.filter((it) => it.section !== 'active').map((it) => `${it.base_offset}:${it.bytes}`).join();
  const known = useRef(null);
  const look = async () => {
    known.current = shape;
    const found = await ask(`${partitionPath(topic, drawn.partition)}/compaction/plan`);
    setPlan(found);
    refreshTopic(topic);
    return found;
  };
  useEffect(() => {
    const total = drawn.stretches.reduce((sum, it) => sum + it.bytes, 0);
    const isBusy = Boolean(drawn.status?.running);
    if (!isCheap || shape === '' || isBusy || known.current === shape || total > PLANNED_BYTES) return;
    look().catch(() => { known.current = null; });
  }, [shape, isCheap, Boolean(drawn.status?.running)]);
  return [plan, look];
}

export function Actions({ topic, drawn, reload, look, showPlan }) {
  const isReadOnly = useStore().broker?.is_admin_enabled === false;
  const { partition, status } = drawn;
  const [said, setSaid] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [roll, setRoll] = useState(true);
  const path = partitionPath(topic, partition);
  const act = async (work) => {
    setBusy(true);
    setSaid(null);
    try {
      setSaid(await work());
    } catch (error) {
      setSaid(error.message);
    }
    setBusy(false);
    reload();
  };
  const compact = () => act(async () => {
    showPlan(false);
    const asked = await tell(`${path}/compact?roll=${roll}&wait=true`);
    return outcome(asked);
  });
  const dry = () => act(async () => {
    const plan = await look();
    showPlan(true);
    const { before, after } = plan;
    if (before.records === after.records) return `Nothing would go: ${plan.why}`;
    return `Would remove ${plural(before.records - after.records, 'record')} and ${bytes(before.bytes - after.bytes)}; ` +
      `${plural(plan.live_keys, 'key')} and ${bytes(after.bytes)} stay.`;
  });
  const pause = () => act(async () => {
    const { paused } = await tell(status.paused ? `${path}/compaction/resume` : `${path}/compaction/pause?by=page`);
    return paused ? 'Paused until somebody resumes it or the broker restarts.' : 'Resumed.';
  });
  return (
    <div class="actions">
      {!isReadOnly && <button type="button" class="small" disabled={isBusy} onClick={compact}>Compact now</button>}
      <button type="button" class="small outline" disabled={isBusy} onClick={dry}>Dry run</button>
      {!isReadOnly && <button type="button" class="small outline" disabled={isBusy} onClick={pause}>{status.paused ? 'Resume' : 'Pause'}</button>}
      {!isReadOnly && <label class="check" title="The active segment is sealed first, so that all records can be cleaned">
        <input type="checkbox" checked={roll} onChange={(event) => setRoll(event.currentTarget.checked)} />active segment too</label>}
      <output aria-live="polite">{isBusy ? 'Asking the broker' : said}</output>
    </div>
  );
}

function outcome({ state, result, error }) {
  if (error) return error.message;
  if (state !== 'done') return 'It has begun.';
  if (result.nothing) return `Nothing to clean: ${result.nothing.reason}: ${result.nothing.why}`;
  const { before, after, cleaning } = result;
  return `Removed ${plural(cleaning.removed_records, 'record')} and ${bytes(before.bytes - after.bytes)} ` +
    `of ${bytes(before.bytes)} in ${duration(cleaning.duration_ms)}.`;
}

function PartitionCard({ topic, drawn, now, reload, plans, isCompacted }) {
  const { partition, status, stretches, error } = drawn;
  const [plan, look] = usePlan(topic, drawn, plans);
  const [isGhost, showPlan] = useState(false);
  return (
    <article class="card" aria-labelledby={`p${partition}`}>
      <div class="bar">
        <h3 id={`p${partition}`}><a href={`#topic/${part(topic)}/${partition}`}>Partition {partition}</a></h3>
        {status && isCompacted && <span class="why"><Word word={status.reason} /> {status.why}</span>}
        {status && <span class="end">{bytes(status.size_bytes)} · {plural(status.segments, 'segment')}</span>}
      </div>
      {error && <p class="banner">Could not be loaded: {error}</p>}
      {status && <Strip label={`Partition ${partition}`} stretches={stretches} plan={plan} />}
      {isGhost && plan && <Ghost plan={plan} />}
      {status && isCompacted && <Caption status={status} now={now} />}
      {status && isCompacted && <Actions {...{ topic, drawn, reload, look, showPlan }} />}
    </article>
  );
}

export function Caption({ status, now }) {
  const { counts, last_cleaning: last } = status;
  return (
    <p class="caption">
      {status.running ? <Progress running={status.running} /> : [
        status.first_dirty_offset != null && `cleaned up to offset ${number(status.first_dirty_offset)}`,
        status.dirty_ratio != null && `dirty ${percent(status.dirty_ratio)}`,
        counts && `${plural(counts.live_keys, 'live key')}`,
        counts && counts.dead_records > 0 && `${plural(counts.dead_records, 'dead record')} (${bytes(counts.dead_bytes)})`,
        counts && counts.tombstones > 0 && `† ${plural(counts.tombstones, 'tombstone')}${status.tombstones_until_ms ? `, the next leaves ${time(status.tombstones_until_ms)}` : ''}`,
        last ? `last cleaning ${ago(last.started_ms, now)}` : 'no cleaning since the start',
      ].filter(Boolean).join(' · ')}
    </p>
  );
}

export function Cleanings({ cleanings, withTopic = false }) {
  return (
    <Table caption="Last cleanings" fixed rows={cleanings} keyOf={(it) => it.number} empty="None since the broker started."
      columns={[
        { name: 'Began', value: (it) => time(it.started_ms) },
        withTopic && { name: 'Topic', class: 'name', value: (it) => it.topic, show: (it) => <a href={`#topic/${part(it.topic)}`}>{it.topic}</a> },
        { name: 'Partition', number: true, value: (it) => it.partition },
        { name: 'Took', number: true, value: (it) => duration(it.duration_ms) },
        { name: 'Records', number: true, value: (it) => number(it.records) },
        { name: 'Removed', number: true, value: (it) => number(it.removed_records) },
        { name: 'Bytes freed', number: true, value: (it) => bytes(it.removed_bytes) },
        { name: 'Read', number: true, value: (it) => bytes(it.read_bytes) },
        { name: 'Written', number: true, value: (it) => bytes(it.written_bytes) },
        { name: 'Segments', number: true, value: (it) => `${it.segments_in} → ${it.segments_out}` },
      ].filter(Boolean)} />
  );
}
