// Asking the broker. Every refusal is an Error with the broker's own sentence.

export const part = encodeURIComponent;

export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', ...options });
  } catch {
    throw Object.assign(new Error('the broker does not answer'), { code: 'UNREACHABLE' });
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.message ?? `HTTP ${answer.status}`), { code: body.code });
  return body;
}

export const tell = (path) => ask(path, { method: 'POST' });
export const topicPath = (topic) => `/v1/topics/${part(topic)}`;
export const partitionPath = (topic, partition) => `${topicPath(topic)}/partitions/${partition}`;
