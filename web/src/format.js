// Numbers, sizes, times and bytes as text. A dash stands for what is not known.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
export const DASH = '–';

export function bytes(count) {
  if (count == null) return DASH;
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) { count /= 1024; unit += 1; }
  const text = unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1);
  return `${text}\u00a0${UNITS[unit]}`;
}

export const rate = (count) => (count == null ? DASH : `${bytes(count)}/s`);
export const number = (value) => (value == null ? DASH : Math.round(value).toLocaleString('en'));
export const percent = (ratio) => {
  if (ratio == null || Number.isNaN(ratio)) return DASH;
  // What is not all and not nothing must not look so.
  const whole = Math.round(ratio * 100);
  return `${ratio < 1 && whole === 100 ? 99 : ratio > 0 && whole === 0 ? '<1' : whole}\u00a0%`;
};
export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? '' : 's'}`;

const two = (value) => String(value).padStart(2, '0');

export function time(ms) {
  if (ms == null || ms < 0) return DASH;
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return String(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const clock = (ms) => time(ms).slice(11);

export function duration(ms) {
  if (ms == null) return DASH;
  if (ms < 1000) return `${Math.round(ms)}\u00a0ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}\u00a0s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}\u00a0min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)}\u00a0h`;
  return `${Math.floor(ms / 86_400_000)}\u00a0d`;
}

export function milliseconds(ms) {
  if (ms == null) return DASH;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)}\u00a0s`;
  return `${ms >= 100 ? Math.round(ms) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)}\u00a0ms`;
}

export const ago = (ms, now) => (ms == null ? 'never' : `${duration(Math.max(0, now - ms))} ago`);

// What is no text comes as base64; it is shown as hexadecimal digits.
export function content(value) {
  if (value == null) return null;
  if (typeof value === 'string') return value;
  const raw = atob(value.base64);
  let hex = '';
  for (let at = 0; at < raw.length; at += 1) hex += (at > 0 && at % 2 === 0 ? ' ' : '') + raw.charCodeAt(at).toString(16).padStart(2, '0');
  return hex;
}

export const isBinary = (value) => value != null && typeof value !== 'string';

// JSON is laid out; everything else stays as it is.
export function pretty(text) {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[') return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
