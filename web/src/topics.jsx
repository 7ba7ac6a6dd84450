// The overview: rates, and every topic.

import { useMemo, useState } from 'preact/hooks';
import { part } from './api.js';
import { Rates } from './chart.jsx';
import { bytes, number, percent, rate } from './format.js';
import { Facts, Spark, Waiting, Words } from './parts.jsx';
import { useStore } from './store.js';
import { Table } from './table.jsx';

export const liveShare = (it) => (it.live_bytes == null || it.live_bytes + it.dead_bytes === 0 ? null
  : it.live_bytes / (it.live_bytes + it.dead_bytes));

export function Topics() {
  const { topics, topicsVersion, isLoaded, rates, pulse, history } = useStore();
  const [filter, setFilter] = useState('');
  const [internal, setInternal] = useState(false);
  const rows = useMemo(() => [...topics.values()].filter((topic) =>
    (internal || !topic.is_internal) && topic.name.includes(filter)), [topicsVersion, filter, internal]);
  const own = useMemo(() => [...topics.values()].filter((topic) => !topic.is_internal), [topicsVersion]);
  const now = pulse?.rates;
  return (
    <>
      <h1 class="hidden">Topics</h1>
      <Facts facts={[
        ['Written', rate(now?.in_bytes), now && `${number(now.in_records)} records/s`],
        ['Read', rate(now?.out_bytes)],
        ['Cleaner', rate(now?.cleaner_bytes), pulse && `${pulse.running.length} of ${pulse.threads_configured} busy`],
        ['Stored', isLoaded ? bytes(own.reduce((sum, topic) => sum + topic.size_bytes, 0)) : '–',
          pulse && `${bytes(pulse.disk_free_bytes)} free`],
      ]} />
      <Rates history={history} />
      <section aria-labelledby="topics">
        <div class="bar">
          <h2 id="topics">Topics</h2>
          <input type="search" placeholder="Filter by name" aria-label="Filter topics by name" aria-keyshortcuts="/" value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)} />
          <label class="check"><input type="checkbox" checked={internal} onChange={(event) => setInternal(event.currentTarget.checked)} />internal</label>
          <output class="quiet" id="count">{isLoaded ? (rows.length === topics.size ? number(rows.length) : `${number(rows.length)} of ${number(topics.size)}`) : ''}</output>
        </div>
        {!isLoaded ? <Waiting /> : (
          <Table caption="Topics" version={`${topicsVersion} ${filter} ${internal}`} rows={rows} keyOf={(topic) => topic.name}
            empty={filter ? 'No topic has this in its name.' : <>There is no topic yet. Try <code>lastword topic create prices --compact</code></>}
            columns={[
              { name: 'Topic', class: 'name', value: (topic) => topic.name, show: (topic) => <a href={`#topic/${part(topic.name)}`}>{topic.name}</a> },
              { name: 'Policy', rare: true, value: (topic) => topic.cleanup_policy },
              { name: 'Partitions', number: true, rare: true, value: (topic) => topic.partitions, show: (topic) => number(topic.partitions) },
              { name: 'Records', number: true, hint: 'Records that exist, not end minus start', value: (topic) => topic.records, show: (topic) => number(topic.records) },
              { name: 'Live keys', number: true, hint: 'As the last plan or cleaning counted them', value: (topic) => topic.live_keys, show: (topic) => number(topic.live_keys) },
              { name: 'Live', number: true, hint: 'Live bytes of what the last plan or cleaning looked at', value: liveShare, show: (topic) => percent(liveShare(topic)) },
              { name: 'Size', number: true, value: (topic) => topic.size_bytes, show: (topic) => bytes(topic.size_bytes) },
              { name: 'In', number: true, hint: 'Written in the last second; the line is the last minute', value: (topic) => rates.get(topic.name)?.at(-1) ?? 0,
                show: (topic) => <span class="in"><Spark points={rates.get(topic.name)} />{rate(rates.get(topic.name)?.at(-1) ?? 0)}</span> },
              { name: 'State', value: (topic) => Object.keys(topic.reasons).join(), show: (topic) => <Words reasons={topic.reasons} /> },
            ]} />
        )}
      </section>
    </>
  );
}
