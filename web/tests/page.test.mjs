// The page in a real browser, against a real broker: what ux asks of it, one test each. Screenshots of every view go to
// web/.screenshots, for people to look at.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { Broker, until } from './broker.mjs';

const PICTURES = join(dirname(fileURLToPath(import.meta.url)), '../.screenshots');
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 900 } };
const SCRIPT = '<script>window.hacked=1</script><img src=x onerror=window.hacked=1>';

let browser;
let broker;
let page;
let problems;

before(async () => {
  rmSync(PICTURES, { recursive: true, force: true });
  mkdirSync(PICTURES, { recursive: true });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  broker = await Broker.start();
  await fill();
});

after(async () => {
  await browser?.close();
  await broker?.stop();
});

beforeEach(async () => {
  page = await open();
});

afterEach(async () => {
  await page.context().close();
  assert.deepEqual(problems.splice(0), [], 'what the browser complained of');
});

// A page that notes every error, and every request to somebody else.
async function open(options = {}, at = broker) {
  problems = [];
  const context = await browser.newContext({ viewport: SIZES.desk, ...options });
  const opened = await context.newPage();
  opened.setDefaultTimeout(20_000);
  // While the page is worked on: what web/build made, instead of what is in the binary.
  if (process.env.PAGE_DIST) {
    for (const [file, type] of [['app.js', 'text/javascript'], ['app.css', 'text/css']]) {
      const body = () => gunzipSync(readFileSync(join(process.env.PAGE_DIST, `${file}.gz`)));
      await opened.route(`**/${file}`, (route) => route.fulfill({ body: body(), contentType: type }));
    }
  }
  opened.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(message.text()); });
  opened.on('pageerror', (error) => problems.push(String(error)));
  opened.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && host !== at.http) problems.push(`a request to ${request.url()}`);
  });
  return opened;
}

const go = (view = '', at = broker) => page.goto(`${at.url}#${view}`);
const textOf = (selector) => page.locator(selector).first().innerText();
// A number of the page, without its separators.
const digits = (text) => Number(text.replace(/[^\d]/g, ''));

function flights(count, from = 0, padding = 80, planes = 40) {
  return Array.from({ length: count }, (_, index) => {
    const plane = `N${100 + (index * 7919) % planes}UA`;
    return `${plane}:{"flight":${from + index},"from":"EWR","to":"${['IAH', 'MIA', 'ORD', 'SFO'][index % 4]}","delay_min":${index % 90},"note":"${'on time '.repeat(padding)}"}`;
  });
}

async function fill() {
  await broker.create('flights', '-p', '3', '--compact', '-c', 'segment.bytes=1MiB', '-c', 'min.cleanable.dirty.ratio=0.95');
  for (let round = 0; round < 2; round += 1) await broker.produce('flights', flights(4000, round * 4000, 80, 1500));
  for (let partition = 0; partition < 3; partition += 1) {
    await broker.json(`v1/topics/flights/partitions/${partition}/compact?roll=true&wait=true`, { method: 'POST' });
  }
  await broker.produce('flights', flights(8000, 8000, 80, 1500));
  await broker.create('prices', '-p', '1', '--compact', '-c', 'min.cleanable.dirty.ratio=0.99');
  await broker.produce('prices', ['AAPL:191', 'MSFT:410', 'GOOG:175', 'AAPL:192']);
  await broker.cli(['produce', 'prices', '-k', 'GOOG', '-Z']);
  await broker.create('events', '-p', '2');
  await broker.produce('events', flights(500, 0, 0));
  await broker.create('empty', '-p', '1', '--compact');
  await broker.create(`${'a-topic-with-a-very-long-name.'.repeat(6)}end`, '-p', '1', '--compact');
  await broker.commit('billing', 'flights', 0, 100);
  await broker.commit('billing', 'flights', 1, 6000);
  await broker.commit('billing', 'prices', 0, 5);
  await broker.create('odd', '-p', '1', '--compact', '-c', 'min.cleanable.dirty.ratio=0.99');
  await broker.cli(['produce', 'odd', '-f', '%k\t%v\n'], `${SCRIPT}\t${SCRIPT}\nbytes\t${'x'.repeat(9000)}\n`);
}

test('the page loads without an error and asks nobody else', async () => {
  const answer = await go();
  await page.waitForSelector('tbody tr');
  assert.match(answer.headers()['content-security-policy'], /^default-src 'self'/);
  assert.equal(await textOf('#link'), 'live');
  for (const view of ['groups', 'cleaner', 'topic/flights', 'topic/flights/0', 'topic/nowhere', 'group/nobody']) {
    await go(view);
    await page.waitForSelector('h1');
    await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'));
  }
  // The two that do not exist are answered with 404, which the browser notes.
  problems = problems.filter((problem) => !/404/.test(problem));
});

test('what is produced over the wire changes the number within two seconds', async () => {
  await go();
  const cell = page.locator('tr', { has: page.getByRole('link', { name: 'events', exact: true }) }).locator('td').nth(3);
  await cell.waitFor();
  await until('the first count', async () => digits(await cell.innerText()) === 500);
  await broker.produce('events', flights(123));
  await until('the new count', async () => digits(await cell.innerText()) === 623, 2000);
});

test('Compact now makes the strip shorter, and the page has the numbers of compact status', async () => {
  await broker.create('shrinks', '-p', '1', '--compact', '-c', 'segment.bytes=1MiB', '-c', 'min.cleanable.dirty.ratio=1');
  await broker.produce('shrinks', flights(4000));
  await go('topic/shrinks');
  const card = page.locator('article').first();
  await card.getByRole('button', { name: 'Dry run' }).click();
  await until('the dry run', async () => /Would remove/.test(await card.locator('output').innerText()));
  await card.locator('svg.ghost').waitFor();
  const before = await card.locator('svg.strip:not(.ghost) g').count();
  await card.getByRole('button', { name: 'Compact now' }).click();
  await until('the cleaning', async () => {
    const said = await card.locator('output').innerText();
    assert.match(said, /^(Asking.*|Would.*|Removed 3,9\d\d records.*)?$/);
    return said.startsWith('Removed');
  }, 10_000);
  await until('the strip', async () => (await card.locator('svg.strip g').count()) < before);
  const status = JSON.parse(await broker.cli(['compact', 'status', 'shrinks', '--format', 'json']));
  const one = status.partitions[0];
  await until('the numbers', async () => {
    const caption = await card.locator('.caption').innerText();
    return caption.includes(`${one.counts.live_keys} live keys`) && digits(/offset ([\d,]+)/.exec(caption)[1]) === one.first_dirty_offset;
  });
  assert.equal(one.counts.live_keys, 40);
  await until('the reason', async () => (await card.locator('.word').first().innerText()) === one.reason);
  await page.goto(`${broker.url}#topic/shrinks/0`);
  await page.waitForSelector('#segments');
  const rows = page.getByRole('table', { name: 'Segments' }).locator('tbody tr');
  await until('the segments', async () => (await rows.count()) === one.segments);
});

test('a lookup finds a key, says that another was deleted, and that a third is not there', async () => {
  await go('topic/prices');
  const look = async (key) => {
    await page.getByRole('textbox', { name: 'Key', exact: true }).fill(key);
    await page.getByRole('button', { name: 'Look up' }).click();
  };
  const answer = page.locator('.lookup output');
  await look('AAPL');
  await until('the hit', async () => /found · partition 0 · offset 3/.test(await answer.innerText()));
  assert.equal(await answer.locator('pre').innerText(), '192');
  await look('GOOG');
  await until('the tombstone', async () => /† deleted/.test(await answer.innerText()));
  assert.equal(await answer.locator('pre').count(), 0);
  await look('NONE');
  await until('the miss', async () => /No such key/.test(await answer.innerText()));
  problems = problems.filter((problem) => !/404/.test(problem));
});

test('records are read from an offset, by a part of the key, and as the last word on each key', async () => {
  await go('topic/prices/0');
  const rows = page.locator('table.records tbody tr');
  await until('all of them', async () => (await rows.count()) === 5);
  await page.getByRole('combobox', { name: 'Which records' }).selectOption('state');
  await until('the state', async () => (await rows.count()) === 3);
  assert.match(await page.locator('table.records').innerText(), /† tombstone/);
  await page.getByRole('combobox', { name: 'Which records' }).selectOption('all');
  await page.getByRole('searchbox', { name: /Only keys/ }).fill('APL');
  await page.getByRole('button', { name: 'Show' }).click();
  await until('the key', async () => (await rows.count()) === 2);
  await page.getByRole('textbox', { name: /From/ }).fill('2');
  await page.getByRole('button', { name: 'Show' }).click();
  await until('from offset 2', async () => (await rows.count()) === 1);
});

test('a value that is a script is shown as text', async () => {
  await go('topic/odd/0');
  await page.waitForSelector('table.records tbody tr');
  assert.ok((await page.locator('table.records').innerText()).includes('<script>window.hacked=1</script>'));
  await go('topic/odd');
  await page.getByRole('textbox', { name: 'Key', exact: true }).fill(SCRIPT);
  await page.getByRole('button', { name: 'Look up' }).click();
  await until('the value', async () => (await page.locator('.lookup pre').innerText()) === SCRIPT);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator('main script, main img').count(), 0);
});

test('a pause is seen and ended, and the reason is the word of the command line', async () => {
  await go('topic/empty');
  const card = page.locator('article').first();
  await card.getByRole('button', { name: 'Pause' }).click();
  await until('the pause', async () => (await card.locator('.word').first().innerText()) === 'paused');
  const status = JSON.parse(await broker.cli(['compact', 'status', 'empty', '--format', 'json']));
  assert.equal(status.partitions[0].reason, 'paused');
  await card.getByRole('button', { name: 'Resume' }).click();
  await until('the end of it', async () => (await card.locator('.word').first().innerText()) !== 'paused');
});

test('the cleaner is seen at work, and the page of the topic follows it', async (context) => {
  const slow = await Broker.start({ 'log.cleaner.io.max.bytes.per.second': 700_000 });
  context.after(() => slow.stop());
  await slow.create('work', '-p', '1', '--compact', '-c', 'segment.bytes=1MiB', '-c', 'min.cleanable.dirty.ratio=1');
  await slow.produce('work', flights(8000, 0, 80, 4000));
  await page.context().close();
  page = await open({}, slow);
  await page.goto(`${slow.url}#cleaner`);
  await page.getByRole('heading', { name: 'Now', exact: true }).waitFor();
  const asked = slow.json('v1/topics/work/partitions/0/compact?roll=true&wait=true', { method: 'POST' });
  const row = page.locator('.running li');
  await row.waitFor();
  assert.match(await row.innerText(), /^work-0/);
  await page.screenshot({ path: join(PICTURES, 'at-work-light-1280.png'), fullPage: true });
  await row.getByRole('link').click();
  await page.locator('.card progress').first().waitFor();
  const { result } = await asked;
  assert.equal(result.cleaning.removed_records, 4000);
  await until('the end', async () => (await page.locator('.card progress').count()) === 0);
  await go('cleaner', slow);
  await until('it among the last ones', async () => /4,000/.test(await page.getByRole('table', { name: 'Last cleanings' }).innerText()));
});

test('everything can be reached with the keyboard', async () => {
  await go();
  await page.waitForSelector('tbody tr');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('/');
  await page.keyboard.type('pric');
  await until('the filter', async () => (await page.locator('main tbody tr').count()) === 1);
  for (let press = 0; press < 30; press += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.textContent === 'prices')) break;
  }
  await page.keyboard.press('Enter');
  await until('the topic', async () => (await textOf('h1')) === 'prices');
});

test('a table of the topics is there without a script', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const plain = await context.newPage();
  await plain.goto(broker.url);
  const row = plain.locator('noscript tr', { hasText: 'prices' });
  assert.match(await row.innerText(), /prices\s+compact\s+1\s+5\s/);
  await context.close();
});

test('a page that nobody looks at listens to nothing', async () => {
  await page.addInitScript(() => {
    window.streams = 0;
    const Real = EventSource;
    window.EventSource = class extends Real {
      constructor(...args) { super(...args); window.streams += 1; }
      close() { if (this.readyState !== 2) window.streams -= 1; super.close(); }
    };
    Object.defineProperty(document, 'hidden', { get: () => Boolean(window.isHidden) });
  });
  await go();
  await until('a stream', () => page.evaluate(() => window.streams === 1));
  const hide = (is) => page.evaluate((is) => { window.isHidden = is; document.dispatchEvent(new Event('visibilitychange')); }, is);
  await hide(true);
  assert.equal(await page.evaluate(() => window.streams), 0);
  await hide(false);
  assert.equal(await page.evaluate(() => window.streams), 1);
});

test('a day of events leaves the page no larger than an hour of them', async () => {
  await page.addInitScript(() => {
    window.EventSource = class {
      constructor() { this.takers = {}; window.stream = this; }
      addEventListener(name, take) { this.takers[name] = take; }
      close() {}
    };
    window.tell = (name, data) => window.stream.takers[name]({ data: JSON.stringify(data) });
  });
  await go();
  await page.waitForFunction(() => window.stream);
  const pulse = await page.evaluate(async () => {
    const { threads_configured, threads_running } = await (await fetch('/v1/cleaner')).json();
    return { now_ms: Date.now(), rates: {}, running: [], threads_configured, threads_running, is_enabled: true };
  });
  await page.evaluate((pulse) => window.tell('snapshot', pulse), pulse);
  await page.waitForSelector('tbody tr');
  const session = await page.context().newCDPSession(page);
  let second = 0;
  const hours = async (count) => {
    for (let hour = 0; hour < count; hour += 1) {
      await page.evaluate(({ pulse, from }) => {
        for (let second = from; second < from + 3600; second += 1) {
          const at_ms = pulse.now_ms + second * 1000;
          window.tell('rates', { ...pulse, now_ms: at_ms, rates: { at_ms, in_bytes: second % 100, out_bytes: 1, cleaner_bytes: 0 } });
          window.tell('topics', [{ name: `made-${second % 50}`, partitions: 1, reasons: {}, produced_bytes: second * 10, size_bytes: 1, offsets: 1 }]);
          if (second % 50 === 49) window.tell('gone', Array.from({ length: 50 }, (_, index) => `made-${index}`));
          if (second % 20 === 0) window.tell('cleaning', [{ number: second, topic: 'prices', partition: 0 }]);
        }
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      }, { pulse, from: second });
      second += 3600;
    }
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  const hour = await hours(1);
  const day = await hours(23);
  assert.ok(day < hour + (1 << 20), `${hour} bytes after an hour, ${day} after a day`);
});

for (const theme of ['light', 'dark']) {
  for (const viewport of Object.values(SIZES)) {
    test(`every view is accessible and fits, ${theme}, ${viewport.width} px wide`, async () => {
      await page.context().close();
      page = await open({ colorScheme: theme, viewport, reducedMotion: 'reduce' });
      const found = [];
      const views = {
        topics: '', topic: 'topic/flights', prices: 'topic/prices', empty: 'topic/empty', plain: 'topic/events', odd: 'topic/odd/0',
        partition: 'topic/flights/0', groups: 'groups', group: 'group/billing', cleaner: 'cleaner',
      };
      for (const [name, view] of Object.entries(views)) {
        await go(view);
        await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('[aria-busy=true]'));
        if (name === 'prices') {
          await page.getByRole('textbox', { name: 'Key', exact: true }).fill('AAPL');
          await page.getByRole('button', { name: 'Look up' }).click();
          await page.waitForSelector('.found');
        }
        if (name === 'topic') {
          await page.getByRole('button', { name: 'Dry run' }).first().click();
          await page.waitForSelector('svg.ghost');
        }
        await page.waitForFunction(() => !document.querySelector('.plot.few'));
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
        await page.screenshot({ path: join(PICTURES, `${name}-${theme}-${viewport.width}.png`), fullPage: true });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${name} is ${wide} px wider than the window`);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => window.axe.run(document));
        found.push(...violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`));
      }
      assert.deepEqual(found, []);
    });
  }
}

// PAGE_LARGE=5000,5000: five thousand topics and ten thousand partitions. They take minutes to make, and 32,000 open files.
const [TOPICS, WIDE] = (process.env.PAGE_LARGE ?? '300,700').split(',').map(Number);

test(`${TOPICS} topics are drawn and filtered, and a topic of ${WIDE} partitions a few at a time`, async (context) => {
  const large = await Broker.start();
  context.after(() => large.stop());
  const names = Array.from({ length: TOPICS }, (_, index) => `topic-${String(index).padStart(4, '0')}`);
  for (let from = 0; from < names.length; from += 100) {
    await large.cli(['topic', 'create', ...names.slice(from, from + 100), '-p', '1', '--compact', '--timeout', '300']);
  }
  await large.cli(['topic', 'create', 'wide', '-p', String(WIDE), '--compact', '--timeout', '300']);
  await page.context().close();
  page = await open({}, large);
  await page.addInitScript(() => {
    const look = () => {
      if (document.querySelector('main tbody tr')) window.shownAt ??= performance.now(); else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(large.url);
  await until('all of them', async () => (await textOf('#count')) === (TOPICS + 1).toLocaleString('en'));
  const shown = await page.evaluate(() => window.shownAt);
  // How long the browser is not free for somebody who types, with all of it there and events coming in.
  const typed = await page.evaluate(async () => {
    const input = document.querySelector('main input[type=search]');
    const began = performance.now();
    input.value = 'topic-02';
    input.dispatchEvent(new Event('input', { bubbles: true }));
    while (document.querySelectorAll('main tbody tr').length !== 100) await new Promise(requestAnimationFrame);
    return performance.now() - began;
  });
  context.diagnostic(`first rows after ${Math.round(shown)} ms, filtered in ${Math.round(typed)} ms`);
  assert.ok(shown < Number(process.env.PAGE_FIRST_ROWS_MS ?? 5000), `first rows after ${shown} ms`);
  await page.goto(`${large.url}#topic/wide`);
  await page.waitForSelector('article');
  assert.equal(await page.locator('article').count(), 24);
  await page.getByRole('spinbutton').fill(String(WIDE - 10));
  await page.keyboard.press('Enter');
  await page.waitForSelector(`#p${WIDE - 1}`);
  assert.equal(await page.locator('article').count(), 10);
  await page.goto(`${large.url}#cleaner`);
  await page.getByRole('heading', { name: 'Why not now' }).waitFor();
});

test('a broker that is killed is missed, and found again when it is back', async () => {
  await go('topic/prices');
  await page.waitForSelector('svg.strip');
  await broker.kill();
  await until('the banner', async () => /Not up to date/.test(await textOf('.banner')));
  await page.screenshot({ path: join(PICTURES, 'lost-light-1280.png') });
  await broker.run();
  await until('the end of it', async () => (await page.locator('.banner').count()) === 0 && (await textOf('#link')) === 'live', 10_000);
  await broker.produce('prices', ['NEW:1']);
  await until('news', async () => /6/.test(await page.locator('.facts dd').nth(1).innerText()), 5000);
  // What the browser says of a broker that is not there.
  problems = problems.filter((problem) => !/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|Failed to load resource/.test(problem));
});
