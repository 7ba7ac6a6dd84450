// Plots over time, each also to be had as a table.

import uPlot from 'uplot';
import { useEffect, useRef, useState } from 'preact/hooks';
import { bytes, clock, milliseconds, rate, time } from './format.js';

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const ROWS = 30;

// `series`: { name, color (a variable of the style), at(point) }; `show` writes a value. `version` changes with the points.
export function Chart({ title, points, series, show, dots = false, height = 150, children }) {
  const [isTable, setTable] = useState(false);
  const place = useRef();
  const plot = useRef();
  const data = () => [points.map((it) => it.at_ms / 1000), ...series.map((it) => points.map((point) => it.at(point) ?? null))];
  const isFew = points.length < 2;
  useEffect(() => {
    if (isTable || isFew) return undefined;
    const grid = { stroke: style('--line'), width: 1 };
    const axis = { stroke: style('--quiet'), grid, ticks: grid, font: '11px system-ui, sans-serif' };
    const made = new uPlot({
      width: Math.max(place.current.clientWidth, 200),
      height,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 24, 0, 0],
      scales: { x: { range: (_, least, most) => [Math.min(least, most - 60), most] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 100] } },
      axes: [
        { ...axis, size: 26, space: 70, values: (_, marks) => marks.map((mark) => clock(mark * 1000).slice(0, marks[1] - marks[0] < 60 ? 8 : 5)) },
        { ...axis, size: 74, space: 36, values: (_, marks) => marks.map((mark) => (mark === 0 ? '0' : show(mark))) },
      ],
      series: [{}, ...series.map((it) => ({ stroke: style(it.color), width: 1.5, points: { show: dots, size: 4, width: 1, fill: style(it.color) } }))],
    }, data(), place.current);
    plot.current = made;
    const watch = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width > 0 && width !== made.width) made.setSize({ width, height });
    });
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [isTable, isFew, series.length, useTheme()]);
  useEffect(() => { plot.current?.setData(data()); });
  const rows = sample(points);
  // The last that is known: not every second has one.
  const last = (it) => show(it.at(points.findLast((point) => it.at(point) != null) ?? {}));
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        <span class="now">{series.map((it) => (
          <span key={it.name}><i class="line" data-color={it.color} />{it.name} <b>{last(it)}</b></span>
        ))}</span>
        <span class="tools">{children}
          <button type="button" class="small plain" aria-pressed={isTable} onClick={() => setTable(!isTable)}>{isTable ? 'show as plot' : 'show as table'}</button>
        </span>
      </figcaption>
      {isTable ? (
        <div class="wide tall" tabindex={0} role="group" aria-label={`${title}, as a table`}>
          <table>
            <thead><tr><th scope="col">Time</th>{series.map((it) => <th key={it.name} scope="col" class="number">{it.name}</th>)}</tr></thead>
            <tbody>{rows.map((point) => (
              <tr key={point.at_ms}><td>{time(point.at_ms)}</td>{series.map((it) => <td key={it.name} class="number">{show(it.at(point))}</td>)}</tr>
            ))}</tbody>
          </table>
        </div>
      ) : isFew ? <div class="plot few">drawn once there are two points</div> : <div class="plot" ref={place} role="img" aria-label={`${title}: ${series.map((it) => `${it.name} ${last(it)}`).join(', ')}`} />}
    </figure>
  );
}

// The newest first, evenly over the whole time.
function sample(points) {
  const step = Math.max(1, Math.ceil(points.length / ROWS));
  return points.filter((_, index) => (points.length - 1 - index) % step === 0).reverse();
}

function useTheme() {
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const follow = () => setDark(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, []);
  return dark;
}

export function Rates({ history }) {
  const [isDay, setDay] = useState(false);
  const points = isDay ? history.minutes : history.seconds;
  const span = (
    <button type="button" class="small plain" aria-pressed={isDay} onClick={() => setDay(!isDay)}>{isDay ? '10 minutes' : '24 hours'}</button>
  );
  const over = isDay ? ', 24 hours' : ', 10 minutes';
  return (
    <div class="charts">
      <Chart title={`Throughput${over}`} points={points} show={rate} series={[
        { name: 'written', color: '--c1', at: (it) => it.in_bytes },
        { name: 'read', color: '--c2', at: (it) => it.out_bytes },
        { name: 'cleaner', color: '--c3', at: (it) => it.cleaner_bytes },
      ]}>{span}</Chart>
      {points.some((it) => it.produce_p99_ms != null || it.fetch_p99_ms != null) && <Chart title={`Latency, 99 of 100 below${over}`} points={points} show={milliseconds} dots series={[
        { name: 'produce', color: '--c1', at: (it) => it.produce_p99_ms },
        { name: 'reading for a fetch', color: '--c2', at: (it) => it.fetch_p99_ms },
      ]} />}
    </div>
  );
}

export function LiveAndDead({ points }) {
  return (
    <Chart title="Live and dead bytes, since this page is open" points={points} show={bytes} series={[
      { name: 'live', color: '--tail', at: (it) => it.live },
      { name: 'dead', color: '--c4', at: (it) => it.dead },
      { name: 'all', color: '--quiet', at: (it) => it.size },
    ]} />
  );
}
