// The page: hash routes, asked of /v1 every two seconds while it is looked at. Everything that comes from the broker is set
// as text, never as markup. A view that cannot be had keeps what it showed, under a banner.

const PERIOD_MS = 2000;
const MAX_ROWS = 200;
const MAX_STRIPS = 64;
const main = document.getElementById('main');
const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

let api = null; // The OpenAPI document: what this broker can do.
let filter = '';
let shown = MAX_ROWS;
let sort = { column: 0, down: false };
let last = new Map(); // Of each topic: bytes produced, and when that was.
const said = new Map(); // What became of the last action on a partition.
let turn = 0;

// Elements

function el(name, attributes = {}, ...children) {
  const svg = ['svg', 'rect', 'line', 'title'].includes(name);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function bytes(count) {
  if (count == null) return '–';
  let unit = 0;
  while (count >= 1024 && unit < sizes.length - 1) { count /= 1024; unit += 1; }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${sizes[unit]}`;
}

const number = (value) => (value == null ? '–' : value.toLocaleString('en'));
const percent = (ratio) => (ratio == null ? '–' : `${Math.round(ratio * 100)} %`);
const part = encodeURIComponent;

async function ask(path, options) {
  const answer = await fetch(path, { cache: 'no-store', ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok && answer.status !== 202) throw new Error(body.message ?? `HTTP ${answer.status}`);
  return body;
}

function table(columns, rows) {
  const head = columns.map((column, index) => {
    const is = sort.column === index;
    const button = el('button', { type: 'button', 'data-key': `sort-${index}`, onclick: () => {
      sort = { column: index, down: is ? !sort.down : Boolean(column.number) };
      refresh();
    } }, column.name);
    const order = is ? (sort.down ? 'descending' : 'ascending') : null;
    return el('th', { scope: 'col', class: column.number ? 'number' : null, 'aria-sort': order }, button);
  });
  const by = columns[Math.min(sort.column, columns.length - 1)].value;
  rows.sort((a, b) => {
    const [x, y] = [by(a) ?? -1, by(b) ?? -1];
    return (x < y ? -1 : x > y ? 1 : 0) * (sort.down ? -1 : 1);
  });
  const cells = (row) => columns.map((column) =>
    el('td', { class: column.number ? 'number' : null }, column.show ? column.show(row) : column.value(row)));
  const body = rows.slice(0, shown).map((row) => el('tr', {}, ...cells(row)));
  const more = rows.length > shown && el('button', { type: 'button', class: 'act', 'data-key': 'more', onclick: () => {
    shown += MAX_ROWS;
    refresh();
  } }, `Show more of ${number(rows.length)}`);
  return el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...body)), more || null);
}

function filterBar(placeholder) {
  const input = el('input', { type: 'search', placeholder, 'aria-label': placeholder, 'data-key': 'filter', oninput: () => {
    filter = input.value;
    shown = MAX_ROWS;
    refresh();
  } });
  input.value = filter;
  return el('div', { class: 'bar' }, input, el('span', { class: 'quiet' }, 'press / to filter'));
}

// Views: each answers with the elements to show

async function topicsView() {
  const list = [];
  let from = '';
  do {
    const page = await ask(`/v1/topics?limit=10000&from=${part(from)}`);
    list.push(...page.topics);
    from = page.next;
  } while (from);
  const now = performance.now();
  const rates = new Map();
  for (const topic of list) {
    const before = last.get(topic.name);
    if (before) rates.set(topic.name, Math.max(0, (topic.produced_bytes - before.bytes) * 1000 / (now - before.at)));
  }
  last = new Map(list.map((topic) => [topic.name, { bytes: topic.produced_bytes, at: now }]));
  const rows = list.filter((topic) => !topic.is_internal || filter).filter((topic) => topic.name.includes(filter));
  const states = (topic) => Object.entries(topic.reasons).map(([word, count]) => `${word} ${count}`).join(', ');
  return [filterBar('Filter topics'), rows.length === 0
    ? el('p', {}, filter ? 'No topic has this in its name.' : 'There is no topic yet. Try: lastword topic create prices --compact')
    : table([
      { name: 'Topic', value: (topic) => topic.name, show: (topic) => el('a', { href: `#topic/${part(topic.name)}`, 'data-key': `topic-${topic.name}` }, topic.name) },
      { name: 'Policy', value: (topic) => topic.cleanup_policy },
      { name: 'Partitions', number: true, value: (topic) => topic.partitions, show: (topic) => number(topic.partitions) },
      { name: 'Live keys', number: true, value: (topic) => topic.live_keys, show: (topic) => number(topic.live_keys) },
      { name: 'Size', number: true, value: (topic) => topic.size_bytes, show: (topic) => bytes(topic.size_bytes) },
      { name: 'Dirtiest', number: true, value: (topic) => topic.dirty_ratio, show: (topic) => percent(topic.dirty_ratio) },
      { name: 'In', number: true, value: (topic) => rates.get(topic.name), show: (topic) => `${bytes(rates.get(topic.name) ?? 0)}/s` },
      { name: 'Partitions by state', value: states },
    ], rows)];
}

async function topicView(name) {
  const [topic, list] = await Promise.all([
    ask(`/v1/topics/${part(name)}`), ask(`/v1/topics/${part(name)}/partitions`)]);
  const few = list.partitions.slice(0, MAX_STRIPS);
  const segments = await Promise.all(few.map((partition) => partition.error ? { segments: [] }
    : ask(`/v1/topics/${part(name)}/partitions/${partition.partition}/segments`)));
  const configs = Object.entries(topic.configs).flatMap(([key, value]) => [el('dt', {}, key), el('dd', {}, value)]);
  const legend = [['tail', 'tail: cleaned'], ['dirty', 'head: a cleaning would take it'], ['waiting', 'head: not yet'], ['active', 'active segment']];
  return [
    el('h2', {}, topic.name),
    el('p', { class: 'quiet' }, `${topic.cleanup_policy} · ${bytes(topic.size_bytes)} · ${number(topic.live_keys)} live keys · id ${topic.topic_id}`),
    el('p', { class: 'bar quiet' }, ...legend.map(([kind, text]) => el('span', {}, el('span', { class: `key ${kind}` }), text))),
    ...few.map((partition, index) => strip(name, partition, segments[index].segments)),
    list.partitions.length > MAX_STRIPS ? el('p', {}, `The first ${MAX_STRIPS} of ${list.partitions.length} partitions are drawn.`) : null,
    configs.length > 0 ? el('h2', {}, 'Settings of this topic') : null,
    el('dl', {}, ...configs),
  ].filter(Boolean);
}

function strip(topic, partition, segments) {
  const title = el('h3', {}, `Partition ${partition.partition}`);
  if (partition.error) return el('article', {}, title, el('p', { class: 'why' }, `could not be loaded: ${partition.error}`));
  const total = segments.reduce((sum, segment) => sum + segment.size_bytes, 0);
  const kind = (segment) => segment.is_active ? 'active'
    : partition.first_dirty_offset == null || segment.base_offset < partition.first_dirty_offset ? 'tail'
      : segment.base_offset < partition.first_uncleanable_offset ? 'dirty' : 'waiting';
  const text = `Tail ${bytes(partition.tail_bytes)}, head ${bytes(partition.head_bytes)} of which ${bytes(partition.dirty_bytes)} can be cleaned, `
    + `${segments.length} segments, offsets ${number(partition.log_start_offset)} to ${number(partition.log_end_offset)}`;
  const svg = el('svg', { class: 'strip', viewBox: '0 0 1000 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': text });
  let at = 0;
  for (const segment of segments) {
    const width = total === 0 ? 0 : 1000 * segment.size_bytes / total;
    const rect = el('rect', { x: at, y: 0, width, height: 24, class: kind(segment) },
      el('title', {}, `${number(segment.base_offset)} to ${number(segment.end_offset)}: ${bytes(segment.size_bytes)}, ${kind(segment)}`));
    svg.append(rect);
    if (at > 0) svg.append(el('line', { x1: at, x2: at, y1: 0, y2: 24, class: 'edge' }));
    at += width;
  }
  const counted = partition.live_keys == null ? null
    : `${number(partition.live_keys)} live keys, ${bytes(partition.live_bytes)} live, ${bytes(partition.dead_bytes)} dead, ${number(partition.tombstones)} tombstones when last counted`;
  return el('article', {},
    el('div', { class: 'bar' }, title, ...actions(topic, partition)),
    svg,
    el('p', { class: 'why' }, el('span', { class: 'word' }, partition.reason), ` ${partition.why ?? ''}`),
    el('p', { class: 'quiet' }, text, counted ? ` · ${counted}` : ''),
    el('output', { 'aria-live': 'polite' }, said.get(`${topic}-${partition.partition}`) ?? ''));
}

function actions(topic, partition) {
  const base = '/v1/topics/{topic}/partitions/{partition}';
  const path = `/v1/topics/${part(topic)}/partitions/${partition.partition}`;
  const key = `${topic}-${partition.partition}`;
  const act = (name, work) => el('button', { type: 'button', class: 'act', 'data-key': `${name}-${key}`, onclick: async (event) => {
    event.currentTarget.disabled = true;
    said.set(key, `${name}…`);
    try {
      said.set(key, await work());
    } catch (error) {
      said.set(key, `${name}: ${error.message}`);
    }
    refresh();
  } }, name);
  const buttons = [];
  if (api?.paths?.[`${base}/compaction/plan`] && partition.reason !== 'delete-policy') {
    buttons.push(act('Dry run', async () => {
      const plan = await ask(`${path}/compaction/plan`);
      return `Dry run: ${number(plan.before.records)} to ${number(plan.after.records)} records, ${bytes(plan.before.bytes)} to `
        + `${bytes(plan.after.bytes)}, ${number(plan.live_keys)} live keys, below offset ${number(plan.first_uncleanable_offset)}.`;
    }));
  }
  if (api?.paths?.[`${base}/compact`] && partition.reason !== 'delete-policy') {
    buttons.push(act('Compact now', async () => {
      await ask(`${path}/compact?roll=true`, { method: 'POST' });
      return 'A cleaning was asked for; the active segment is rolled first.';
    }));
  }
  return buttons;
}

async function groupsView() {
  const list = (await ask('/v1/groups')).groups.filter((group) => group.group.includes(filter));
  return [filterBar('Filter groups'), list.length === 0 ? el('p', {}, 'There is no group.') : table([
    { name: 'Group', value: (group) => group.group, show: (group) => el('a', { href: `#group/${part(group.group)}`, 'data-key': `group-${group.group}` }, group.group) },
    { name: 'State', value: (group) => group.state },
    { name: 'Type', value: (group) => group.type },
    { name: 'Protocol', value: (group) => group.protocol_type },
  ], list)];
}

async function groupView(name) {
  const group = await ask(`/v1/groups/${part(name)}`);
  return [
    el('h2', {}, group.group),
    el('p', { class: 'quiet' }, `${group.state} · ${group.type} · ${number(group.members.length)} members · lag ${number(group.lag)}`),
    table([
      { name: 'Topic', value: (offset) => offset.topic },
      { name: 'Partition', number: true, value: (offset) => offset.partition },
      { name: 'Committed', number: true, value: (offset) => offset.committed_offset, show: (offset) => number(offset.committed_offset) },
      { name: 'End', number: true, value: (offset) => offset.end_offset, show: (offset) => number(offset.end_offset) },
      { name: 'Lag', number: true, value: (offset) => offset.lag, show: (offset) => number(offset.lag) },
    ], group.offsets),
  ];
}

async function cleanerView() {
  const cleaner = await ask('/v1/cleaner');
  const rows = Object.entries(cleaner.reasons).map(([word, count]) => ({ word, count }));
  const facts = [
    ['Enabled', cleaner.is_enabled ? 'yes' : 'no'],
    ['Threads', `${cleaner.threads_running} of ${cleaner.threads_configured} run`],
    ['Busy with', cleaner.busy_with.join(', ') || 'nothing'],
    ['May read and write', cleaner.io_limit_bytes_per_second == null ? 'without limit' : `${bytes(cleaner.io_limit_bytes_per_second)}/s`],
    ['Read and written since the start', bytes(cleaner.io_bytes)],
  ];
  return [
    el('h2', {}, 'Cleaner'),
    el('dl', {}, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    el('h2', {}, 'Why partitions are not being compacted now'),
    table([
      { name: 'Reason', value: (row) => row.word },
      { name: 'Partitions', number: true, value: (row) => row.count, show: (row) => number(row.count) },
    ], rows),
  ];
}

// Routes

function route() {
  const [view, ...rest] = location.hash.slice(1).split('/');
  const name = decodeURIComponent(rest.join('/'));
  if (view === 'topic') return { tab: 'topics', show: () => topicView(name), title: name };
  if (view === 'groups') return { tab: 'groups', show: groupsView, title: 'Groups' };
  if (view === 'group') return { tab: 'groups', show: () => groupView(name), title: name };
  if (view === 'cleaner') return { tab: 'cleaner', show: cleanerView, title: 'Cleaner' };
  return { tab: 'topics', show: topicsView, title: 'Topics' };
}

// Puts the new elements in, and gives the focus and the place in a text back to who had them.
function put(elements) {
  const active = document.activeElement;
  const key = active?.dataset?.key;
  const at = active?.selectionStart;
  main.replaceChildren(...elements);
  const again = key && [...main.querySelectorAll('[data-key]')].find((node) => node.dataset.key === key);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (at != null && again.setSelectionRange) again.setSelectionRange(at, at);
}

async function refresh() {
  const mine = ++turn;
  const { tab, show, title } = route();
  document.title = `${title} · Lastword`;
  for (const link of document.querySelectorAll('nav a[data-view]')) {
    if (link.dataset.view === tab) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const banner = document.getElementById('banner');
  try {
    api ??= await ask('/v1');
    const [elements, broker, cleaner] = await Promise.all([show(), ask('/v1/broker'), ask('/v1/cleaner')]);
    // Somebody has gone on to another view, or asked again.
    if (mine !== turn) return;
    put(elements);
    banner.hidden = true;
    document.getElementById('state').textContent = [
      broker.log_dir_offline ? 'log directory offline' : 'serving',
      `disk ${bytes(broker.disk_free_bytes)} free`,
      `cleaner ${cleaner.busy_with.length} of ${cleaner.threads_configured} busy`,
    ].join(' · ');
    document.getElementById('foot').textContent =
      `Lastword ${broker.version} · Kafka clients at ${broker.advertised} · cluster ${broker.cluster_id} · data ${broker.log_dir}`;
  } catch (error) {
    if (mine !== turn) return;
    banner.hidden = false;
    banner.textContent = `Not up to date: ${error.message}. Trying again.`;
    document.getElementById('state').textContent = 'no answer';
  }
}

addEventListener('hashchange', () => {
  filter = '';
  shown = MAX_ROWS;
  sort = { column: 0, down: false };
  refresh();
  main.focus({ preventScroll: false });
});
addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  const input = main.querySelector('input[type=search]');
  if (input) { event.preventDefault(); input.focus(); }
});
addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, PERIOD_MS);
refresh();
