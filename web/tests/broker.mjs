// A broker of its own for a test, and its command line to talk to it over the wire.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BIN = process.env.LASTWORD_BIN;
const DEADLINE_MS = 60_000;

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export async function until(what, look, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  let last;
  for (;;) {
    try {
      last = await look();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms; last: ${last}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

function int(bytes, value) {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigInt64BE(BigInt(value)); else buffer.writeIntBE(value, 0, bytes);
  return buffer;
}

export class Broker {
  static async start(settings = {}) {
    const broker = new Broker();
    broker.dir = mkdtempSync(join(tmpdir(), 'lastword-page-'));
    broker.kafka = `127.0.0.1:${await freePort()}`;
    broker.http = `127.0.0.1:${await freePort()}`;
    broker.url = `http://${broker.http}/`;
    broker.settings = settings;
    await broker.run();
    return broker;
  }

  async run() {
    const settings = { 'log.cleaner.backoff.ms': 200, ...this.settings };
    const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const args = ['serve', '--data', this.dir, '--listen', this.kafka, '--http', this.http, ...sets];
    this.process = spawn(BIN, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.log = '';
    this.process.stderr.on('data', (data) => { this.log = (this.log + data).slice(-20_000); });
    this.ended = new Promise((done) => this.process.on('exit', done));
    await until('the broker is ready', async () => this.process.exitCode !== null || (await fetch(`${this.url}readyz`)).ok);
    if (this.process.exitCode !== null) throw new Error(this.log);
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }

  // The command line; answers what it printed.
  cli(args, input = '') {
    return new Promise((done, fail) => {
      const child = execFile(BIN, args, {
        env: { ...process.env, LASTWORD_BROKERS: this.kafka, LASTWORD_HTTP: this.http, NO_COLOR: '1' }, maxBuffer: 64 << 20,
      }, (error, stdout, stderr) => (error ? fail(new Error(`${args.join(' ')}: ${stderr}`)) : done(stdout)));
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  }

  async create(topic, ...options) {
    await this.cli(['topic', 'create', topic, ...options]);
  }

  // Lines of `key:value`, in batches of `size`.
  async produce(topic, lines, ...options) {
    await this.cli(['produce', topic, '-K', ':', ...options], `${lines.join('\n')}\n`);
  }

  // Commits an offset as somebody who is in no group: OffsetCommit, version 5.
  async commit(group, topic, partition, offset) {
    const text = (value) => Buffer.concat([int(2, value.length), Buffer.from(value)]);
    const body = Buffer.concat([
      int(2, 8), int(2, 5), int(4, 1), text('page'), text(group), int(4, -1), text(''),
      int(4, 1), text(topic), int(4, 1), int(4, partition), int(8, offset), text(''),
    ]);
    const [host, port] = this.kafka.split(':');
    await new Promise((done, fail) => {
      const socket = connect(Number(port), host, () => socket.write(Buffer.concat([int(4, body.length), body])));
      socket.on('error', fail);
      socket.on('data', (answer) => {
        socket.destroy();
        const code = answer.readInt16BE(answer.length - 2);
        if (code === 0) done(); else fail(new Error(`OffsetCommit: error ${code}`));
      });
    });
  }

  async json(path, options) {
    return (await fetch(this.url + path, options)).json();
  }
}
