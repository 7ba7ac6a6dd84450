// Small parts that several views use.

import { number, percent } from './format.js';

// Words that waiting does not help, and those that say that all is well.
const BAD = new Set(['no-worker', 'no-disk', 'quarantined']);
const WARN = new Set(['open-transaction', 'paused', 'throttled', 'disabled']);
const GOOD = new Set(['clean', 'running']);

export function Word({ word }) {
  const kind = BAD.has(word) ? 'bad' : WARN.has(word) ? 'warn' : GOOD.has(word) ? 'good' : 'soft';
  return <span class={`word ${kind}`}>{word}</span>;
}

export function Words({ reasons }) {
  const all = Object.entries(reasons).filter(([, count]) => count > 0);
  if (all.length === 0) return <span class="quiet">–</span>;
  return <span class="words">{all.map(([word, count]) => (
    <span key={word}><Word word={word} />{all.length > 1 || count > 1 ? <span class="quiet"> {number(count)}</span> : null}</span>
  ))}</span>;
}

// Facts: a list of [name, value, note].
export function Facts({ facts }) {
  return (
    <dl class="facts">
      {facts.filter(Boolean).map(([name, value, note]) => (
        <div key={name}><dt>{name}</dt><dd>{value}{note && <small>{note}</small>}</dd></div>
      ))}
    </dl>
  );
}

export function Waiting({ error, children }) {
  if (error) return <p class="empty" role="status">{error.message}</p>;
  return <p class="empty" role="status" aria-busy="true">{children ?? 'Asking the broker'}</p>;
}

export function Spark({ points }) {
  if (!points) return null;
  const most = Math.max(...points, 1);
  const at = (value, index) => `${((index + 60 - points.length) * 80 / 59).toFixed(1)},${(17 - 15 * value / most).toFixed(1)}`;
  return <svg class="spark" viewBox="0 0 80 18" aria-hidden="true"><polyline points={points.map(at).join(' ')} /></svg>;
}

export function Progress({ running }) {
  const { phase, done_bytes: done, expected_bytes: all } = running;
  const share = all > 0 ? Math.min(1, done / all) : 0;
  return (
    <span class="progress">
      <progress value={share} max={1} aria-label={`cleaning, ${phase}`} />
      <span>{phase} {percent(share)}</span>
    </span>
  );
}

export function Legend() {
  return (
    <ul class="legend" aria-label="What the colours say">
      <li><i class="key tail" />tail: cleaned</li>
      <li><i class="key dirty" />head: a cleaning would take it</li>
      <li><i class="key waiting" />head: not yet</li>
      <li><i class="key active" />active segment</li>
      <li><i class="key dead" />dead bytes</li>
    </ul>
  );
}
