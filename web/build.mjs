// Builds the page into crates/http/dist, where the broker's binary takes it from. `--check` builds and compares instead.
//
// Files are compared unpacked: what gzip makes of them may differ between versions of zlib, what esbuild makes may not.

import { build } from 'esbuild';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../crates/http/dist');
const shipped = ['preact', 'uplot', '@picocss/pico'];
const budget = 60 * 1024;

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ['src/app.jsx'],
  outdir: 'unused',
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  target: ['chrome110', 'firefox115', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});
const text = (end) => bundled.outputFiles.find((file) => file.path.endsWith(end)).text;
const licences = shipped.map((name) => {
  const folder = join(here, 'node_modules', name);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json')));
  const file = name === '@picocss/pico' ? 'LICENSE.md' : 'LICENSE';
  return `${name} ${version}\n${'-'.repeat(72)}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
const files = {
  'index.html': readFileSync(join(here, 'src/index.html')),
  'app.js.gz': Buffer.from(text('.js')),
  'app.css.gz': Buffer.from(text('.css')),
  'licenses.txt.gz': Buffer.from(`The page at / contains the following, each under its licence.\n\n${licences.join('\n\n')}`),
};

if (process.argv.includes('--check')) {
  const differing = Object.keys(files).filter((name) => {
    const committed = readFileSync(join(out, name));
    return !files[name].equals(name.endsWith('.gz') ? gunzipSync(committed) : committed);
  });
  if (differing.length > 0) {
    console.error(`crates/http/dist is not what web/ builds: ${differing.join(', ')}. Run: web/build`);
    process.exit(1);
  }
  console.log('crates/http/dist is what web/ builds');
} else {
  mkdirSync(out, { recursive: true });
  let sum = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const packed = name.endsWith('.gz') ? gzipSync(bytes, { level: 9 }) : bytes;
    writeFileSync(join(out, name), packed);
    sum += packed.length;
    console.log(`${String(packed.length).padStart(7)}  ${name}`);
  }
  console.log(`${String(sum).padStart(7)}  together, of ${budget}`);
  if (sum > budget) {
    console.error('the page is too large');
    process.exit(1);
  }
}
