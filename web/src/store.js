// What the page knows of the broker, kept up by one stream of events. A hidden page listens to nothing. What is kept has
// a bound, however long the page is open: the topics that exist, ten minutes of points, and for topics with traffic a
// minute of it.

import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { ask, part } from './api.js';

const RETRY_MS = 1000;
const SPARK_POINTS = 60;
const SECONDS = 600;
const MINUTES = 1440;
const FIRST_PAGE = 200;
const PAGE = 1000;

export const state = {
  link: 'connecting', // then live, or lost
  why: null,
  version: null,
  broker: null,
  pulse: null,
  topics: new Map(),
  topicsVersion: 0,
  isLoaded: false,
  history: { seconds: [], minutes: [] },
  rates: new Map(), // of each topic with traffic: bytes of each of the last seconds
  news: new Map(), // of each topic that was looked at: counts what was heard of it
  cleanings: 0,
};

const watchers = new Set();
let frame = null;
let source = null;
let retry = null;
let load = 0;
let isNew = false;
const heard = new Map(); // bytes that came into each topic since the last second

function changed() {
  frame ??= requestAnimationFrame(() => {
    frame = null;
    for (const watcher of watchers) watcher();
  });
}

export function useStore() {
  const [, again] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    watchers.add(again);
    return () => watchers.delete(again);
  }, []);
  return state;
}

function keepTopic(topic) {
  const before = state.topics.get(topic.name);
  if (before && topic.produced_bytes > before.produced_bytes) {
    heard.set(topic.name, (heard.get(topic.name) ?? 0) + topic.produced_bytes - before.produced_bytes);
  }
  state.topics.set(topic.name, topic);
  touch(topic.name);
}

function touch(name) {
  if (state.news.has(name)) state.news.set(name, state.news.get(name) + 1);
}

// A plan has counted: the topic has new numbers.
export async function refreshTopic(name) {
  const topic = await ask(`/v1/topics/${part(name)}`).catch(() => null);
  if (!topic || !state.topics.has(name)) return;
  const { configs, ...listed } = topic;
  state.topics.set(name, listed);
  state.topicsVersion += 1;
  changed();
}

async function loadAll() {
  const mine = ++load;
  try {
    const [broker, history] = await Promise.all([ask('/v1/broker'), ask('/v1/history')]);
    if (mine !== load) return;
    Object.assign(state, { broker, history });
    const names = new Set();
    let from = '';
    do {
      const page = await ask(`/v1/topics?limit=${from ? PAGE : FIRST_PAGE}&from=${part(from)}`);
      if (mine !== load) return;
      for (const topic of page.topics) {
        names.add(topic.name);
        keepTopic(topic);
      }
      from = page.next;
      state.topicsVersion += 1;
      if (state.topics.size > 0 || !from) state.isLoaded = true;
      changed();
    } while (from);
    for (const name of state.topics.keys()) if (!names.has(name)) state.topics.delete(name);
    state.topicsVersion += 1;
    for (const name of state.news.keys()) touch(name);
    changed();
  } catch (error) {
    if (mine === load) lose(error.message);
  }
}

function minuteOfTraffic() {
  for (const [name, points] of state.rates) {
    points.push(heard.get(name) ?? 0);
    if (points.length > SPARK_POINTS) points.shift();
    if (!points.some(Boolean)) state.rates.delete(name);
  }
  for (const [name, came] of heard) if (!state.rates.has(name)) state.rates.set(name, [came]);
  heard.clear();
}

const on = {
  snapshot(data) {
    state.pulse = data;
    state.version = data.version;
    state.link = 'live';
    state.why = null;
    isNew = true;
    loadAll();
  },
  rates(data) {
    state.pulse = data;
    const { seconds } = state.history;
    if (data.rates.at_ms > (seconds.at(-1)?.at_ms ?? 0)) seconds.push(data.rates);
    if (seconds.length > SECONDS) seconds.shift();
    const { minutes } = state.history;
    if (data.rates.at_ms - (minutes.at(-1)?.at_ms ?? seconds[0]?.at_ms ?? 0) >= 60_000 && seconds.length >= 60) {
      minutes.push(mean(seconds.slice(-60)));
      if (minutes.length > MINUTES) minutes.shift();
    }
    for (const { topic } of data.running) touch(topic);
    minuteOfTraffic();
    // The broker tells of changes from its first look on: what came between the list and that look is in a second list.
    if (isNew) setTimeout(loadAll, 150);
    isNew = false;
  },
  topics(data) {
    data.forEach(keepTopic);
    state.topicsVersion += 1;
  },
  gone(names) {
    for (const name of names) {
      state.topics.delete(name);
      state.rates.delete(name);
      touch(name);
    }
    state.topicsVersion += 1;
  },
  cleaning(data) {
    state.cleanings = data.at(-1).number;
    for (const { topic } of data) touch(topic);
  },
};

function mean(points) {
  const sum = {};
  for (const point of points) {
    for (const [name, value] of Object.entries(point)) sum[name] = (sum[name] ?? 0) + (value ?? 0) / points.length;
  }
  return { ...sum, at_ms: points.at(-1).at_ms };
}

function lose(why) {
  source?.close();
  source = null;
  state.link = 'lost';
  state.why = why;
  changed();
  clearTimeout(retry);
  retry = setTimeout(connect, RETRY_MS);
}

function connect() {
  clearTimeout(retry);
  source?.close();
  source = null;
  if (document.hidden) return;
  const mine = new EventSource('/v1/events');
  source = mine;
  for (const [name, take] of Object.entries(on)) {
    mine.addEventListener(name, (event) => {
      if (mine !== source) return;
      take(JSON.parse(event.data));
      changed();
    });
  }
  mine.onerror = async () => {
    if (mine !== source) return;
    lose('the broker does not answer');
    // A broker that answers, but not this, says why.
    const error = await ask('/v1/broker').then(() => null, (refused) => refused);
    if (error && state.link === 'lost') {
      state.why = error.message;
      changed();
    }
  };
}

export function start() {
  document.addEventListener('visibilitychange', connect);
  connect();
}

// Asks now, whenever something is heard of `topic`, and after `every` milliseconds: never twice in a second, and not
// again before the last answer. Keeps the last good answer while a new one is on its way.
export function useLive(fetcher, { key, topic = null, every = 15_000 }) {
  const [answer, setAnswer] = useState({ key: null, data: null, error: null });
  const asked = useRef({ at: 0, busy: false, heard: -1, key: null });
  const latest = useRef(fetcher);
  latest.current = fetcher;
  useEffect(() => {
    let over = false;
    asked.current = { at: 0, busy: false, heard: -1, key };
    if (topic != null && !state.news.has(topic)) state.news.set(topic, 0);
    const look = async () => {
      const now = performance.now();
      const seen = topic == null ? 0 : state.news.get(topic);
      const its = asked.current;
      const isDue = its.heard !== seen || now - its.at >= every || its.at === 0;
      if (its.busy || document.hidden || !isDue || (its.at > 0 && now - its.at < 950)) return;
      Object.assign(its, { at: now, busy: true, heard: seen });
      try {
        const data = await latest.current();
        if (!over) setAnswer({ key, data, error: null });
      } catch (error) {
        if (!over) setAnswer((before) => ({ key, data: before.key === key ? before.data : null, error }));
      }
      its.busy = false;
    };
    look();
    const timer = setInterval(look, 250);
    return () => {
      over = true;
      clearInterval(timer);
      if (topic != null) state.news.delete(topic);
    };
  }, [key, topic, every]);
  const reload = () => { asked.current.heard = -1; asked.current.at = Math.min(asked.current.at, performance.now() - 1000); };
  return answer.key === key ? { ...answer, reload } : { key, data: null, error: null, reload };
}
