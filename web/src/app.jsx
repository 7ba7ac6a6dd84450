// The page: the frame around the views, and which view a link shows.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import '@picocss/pico/css/pico.classless.min.css';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { bytes, number } from './format.js';
import { start, useStore } from './store.js';
import { Topics } from './topics.jsx';
import { Topic } from './topic.jsx';
import { Partition } from './partition.jsx';
import { Group, Groups } from './groups.jsx';
import { Cleaner } from './cleaner.jsx';

const TABS = [['', 'Topics'], ['groups', 'Groups'], ['cleaner', 'Cleaner']];

function unquoted(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const [path, query] = location.hash.slice(1).split('?');
  const [view, name, partition] = path.split('/').map(unquoted);
  const options = new URLSearchParams(query);
  const key = location.hash;
  if (view === 'topic' && name && partition != null && /^\d+$/.test(partition)) {
    return { key: `${name}/${partition}`, tab: '', title: `${name}-${partition}`,
      show: <Partition key={path} topic={name} partition={Number(partition)} filter={options.get('key') ?? ''} /> };
  }
  if (view === 'topic' && name) return { key, tab: '', title: name, show: <Topic key={path} name={name} /> };
  if (view === 'groups') return { key, tab: 'groups', title: 'Groups', show: <Groups /> };
  if (view === 'group' && name) return { key, tab: 'groups', title: name, show: <Group key={path} name={name} /> };
  if (view === 'cleaner') return { key, tab: 'cleaner', title: 'Cleaner', show: <Cleaner /> };
  return { key, tab: '', title: 'Topics', show: <Topics /> };
}

function Banner({ link, why, pulse, broker }) {
  const messages = [];
  if (link === 'lost') messages.push(`Not up to date: ${why}. Trying again every second.`);
  if (pulse?.log_dir_offline) messages.push(`The log directory is offline: ${pulse.log_dir_offline}`);
  if (broker && link === 'live' && pulse && pulse.is_enabled && pulse.threads_running < pulse.threads_configured) {
    messages.push(`${pulse.threads_configured - pulse.threads_running} of ${pulse.threads_configured} cleaner threads died: see the broker's log.`);
  }
  if (!['localhost', '[::1]'].includes(location.hostname) && !/^127\./.test(location.hostname)) {
    messages.push('This page is reached over the network, and there is no password before it.');
  }
  return <div role="alert">{messages.map((text) => <p class="banner" key={text}>{text}</p>)}</div>;
}

function App() {
  const { link, why, pulse, broker, version } = useStore();
  const [shown, setShown] = useState(route);
  useEffect(() => {
    const follow = () => {
      setShown(route());
      scrollTo(0, 0);
      document.getElementById('main').focus({ preventScroll: true });
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => { document.title = `${shown.title} · Lastword`; }, [shown.title]);
  const busy = pulse ? pulse.running.length : 0;
  const word = { live: 'live', lost: 'no answer', connecting: 'connecting' }[link];
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>Skip to the content</a>
      <header>
        <a class="brand" href="#"><Mark />Lastword</a>
        <nav aria-label="Views">
          {TABS.map(([view, title]) => (
            <a key={view} href={`#${view}`} aria-current={shown.tab === view ? 'page' : undefined}>{title}</a>
          ))}
        </nav>
        <p class={`link ${link}`} id="link"><span class="dot" aria-hidden="true" />{word}</p>
      </header>
      <Banner {...{ link, why, pulse, broker }} />
      <main id="main" tabindex={-1}>{shown.show}</main>
      <footer>
        <p>
          {version ? `Lastword ${version}` : 'Lastword'}
          {broker && ` · Kafka clients at ${broker.advertised} · ${number(pulse?.connections)} connected`}
          {pulse && ` · disk ${bytes(pulse.disk_free_bytes)} free · cleaner ${busy} of ${pulse.threads_configured} busy`}
        </p>
        <p><a href="/metrics">metrics</a><a href="/v1">API</a><a href="/readyz">health</a><a href="/licenses">licences</a></p>
      </footer>
    </>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
      <rect class="tail" y="3" width="9" height="10" rx="1.5" /><rect class="dirty" x="10.5" y="3" width="5.5" height="10" rx="1.5" />
    </svg>
  );
}

addEventListener('keydown', (event) => {
  const isText = event.target instanceof HTMLElement && event.target.closest('input, textarea, select');
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isText) return;
  const input = document.querySelector('main input[type=search]');
  if (input) {
    event.preventDefault();
    input.focus();
  }
});
start();
render(<App />, document.getElementById('app'));
