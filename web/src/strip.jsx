// Head and tail of a partition, segment by segment: the width of a segment is its bytes, the pale part on top is dead.

import { bytes, number, percent, plural, time } from './format.js';

const WIDTH = 1000;
const HEIGHT = 36;

// What a plan knows of a stretch: live bytes of the segments in it; null when it is not known of one of them.
function liveOf(stretch, plan) {
  if (!plan) return null;
  let live = 0;
  let counted = 0;
  for (const segment of plan.segments) {
    if (segment.base_offset < stretch.base_offset || segment.base_offset >= stretch.end_offset) continue;
    if (segment.live_bytes == null) return null;
    live += segment.live_bytes;
    counted += segment.bytes;
  }
  return counted === stretch.bytes ? Math.min(live, counted) : null;
}

export function sectionsOf(stretches) {
  const sections = {};
  for (const { section, bytes: size, segments } of stretches) {
    const sum = sections[section] ??= { bytes: 0, segments: 0 };
    sum.bytes += size;
    sum.segments += segments;
  }
  return sections;
}

const NAMES = { tail: 'tail', dirty: 'dirty head', waiting: 'waiting head', active: 'active segment', plain: 'segments' };

export function describe(stretches, plan) {
  const total = stretches.reduce((sum, it) => sum + it.bytes, 0);
  if (total === 0) return 'empty';
  const parts = Object.entries(sectionsOf(stretches)).filter(([, it]) => it.bytes > 0).map(([name, it]) =>
    `${NAMES[name]} ${percent(it.bytes / total)} of bytes (${bytes(it.bytes)})`);
  if (plan && plan.before.bytes > 0) parts.push(`${percent(plan.after.bytes / plan.before.bytes)} of what may be cleaned is live`);
  return parts.join(', ');
}

export function Strip({ label, stretches, plan }) {
  const total = stretches.reduce((sum, it) => sum + it.bytes, 0);
  const filled = stretches.filter((it) => it.bytes > 0);
  if (total === 0) return <p class="strip none">empty</p>;
  // Each gets a little, so that a small one is seen.
  const least = Math.min(4, WIDTH / filled.length / 2);
  const scale = (WIDTH - least * filled.length) / total;
  let x = 0;
  return (
    <svg class="strip" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
      aria-label={`${label}: ${describe(stretches, plan)}`}>
      {filled.map((stretch, index) => {
        const width = least + stretch.bytes * scale;
        const live = liveOf(stretch, plan);
        const height = live == null ? HEIGHT : HEIGHT * live / stretch.bytes;
        const at = x;
        x += width;
        // A gap where the next begins, but never wider than half of a segment.
        const shown = Math.max(width - Math.min(1.5, width / 2), 0.5);
        const tip = [
          stretch.segments > 1 ? plural(stretch.segments, 'segment') : `segment ${stretch.base_offset}`,
          `offsets ${number(stretch.base_offset)} to ${number(stretch.end_offset - 1)}`,
          bytes(stretch.bytes), NAMES[stretch.section],
          live == null ? null : `${percent(live / stretch.bytes)} live`,
          stretch.max_timestamp_ms > 0 ? `until ${time(stretch.max_timestamp_ms)}` : null,
        ].filter(Boolean).join(' · ');
        return (
          <g key={stretch.base_offset} class={stretch.section} data-last={index === filled.length - 1 ? '' : undefined}>
            <title>{tip}</title>
            <rect class="back" x={at} y={0} width={shown} height={HEIGHT} />
            {height > 0 && <rect x={at} y={HEIGHT - height} width={shown} height={height} />}
          </g>
        );
      })}
    </svg>
  );
}

// What a plan would leave, under what there is, to the same scale.
export function Ghost({ plan }) {
  const all = plan.segments.reduce((sum, it) => sum + it.bytes, 0);
  if (all === 0) return null;
  let x = 0;
  return (
    <svg class="strip ghost" viewBox={`0 0 ${WIDTH} 14`} preserveAspectRatio="none" role="img"
      aria-label={`after a cleaning: ${bytes(plan.after.bytes)} of ${bytes(plan.before.bytes)} stay`}>
      {plan.segments.map((segment) => {
        const width = (segment.live_bytes ?? segment.bytes) * WIDTH / all;
        const at = x;
        x += width;
        return width > 0 && <rect key={segment.base_offset} class={segment.live_bytes == null ? segment.section : 'tail'}
          x={at} width={Math.max(width - Math.min(1.5, width / 2), 0.3)} height={14} />;
      })}
    </svg>
  );
}
