// Uploads in parts: each part is one request, a lost connection costs at most
// one part, and the same files begun again go on where they stopped.
import { lines, post, remove, send, tabNode, Problem, type Progress, type PutUpdate, type StoredObject, type Upload } from './api';
import type { Pick } from './drop';
import { tar } from './tar';

const partSize = 8 << 20;
const retries = 6;

/** idOf is the same for the same files, so that an upload is found again. */
export async function idOf(pick: Pick): Promise<string> {
  const text = JSON.stringify([pick.name, pick.folder, pick.items.map((i) => [i.path, i.file.size, i.file.lastModified])]);
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return [...sum.subarray(0, 16)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** Report is what an upload tells while it runs. */
export interface Report {
  sent: number; // bytes taken by the node
  length: number;
  progress?: Progress;
  waiting?: string; // why nothing moves
}

/** upload stores a pick and returns the object. */
export async function upload(pick: Pick, copies: number, report: (r: Report) => void, signal: AbortSignal): Promise<StoredObject> {
  const blob = pick.folder ? tar(pick.items) : pick.items[0]?.file;
  if (!blob) throw new Problem('there is nothing to store', 'invalid', 0);
  const size = pick.items.reduce((a, i) => a + i.file.size, 0);
  const own = tabNode();
  if (own) {
    return own.put({ name: pick.name, folder: pick.folder, size, files: pick.items.length, policy: { copies } }, blob,
      (p) => report({ sent: p.bytes, length: blob.size, progress: p }), signal);
  }
  const id = await idOf(pick);
  const begin = (): Promise<Upload> =>
    post<Upload>('/v1/uploads', {
      id, name: pick.name, folder: pick.folder, length: blob.size,
      size, files: pick.items.length, policy: { copies },
    }, signal);
  const stop = (): void => void remove(`/v1/uploads/${id}`).catch(() => undefined);
  signal.addEventListener('abort', stop, { once: true });
  try {
    let state = await begin();
    const latest: Report = { sent: state.offset, length: blob.size };
    const outcome = watch(id, (p) => report({ ...Object.assign(latest, { progress: p }) }), signal);
    outcome.catch(() => undefined); // awaited below
    for (let failed = 0; state.offset < blob.size; ) {
      try {
        state = await part(id, blob, state.offset, signal);
        failed = 0;
        delete latest.waiting;
        report({ ...Object.assign(latest, { sent: state.offset }) });
      } catch (e) {
        if (signal.aborted || !again(e) || ++failed > retries) throw await cause(outcome, e);
        report({ ...Object.assign(latest, { waiting: 'the connection was lost; trying again' }) });
        await new Promise((ok) => setTimeout(ok, 2 ** failed * 250));
        state = await begin().catch(() => state);
      }
    }
    return await outcome.catch(() => watch(id, () => undefined, signal)); // the watcher's own connection may be what was lost
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** again tells losses of the way, which pass, from refusals, which stay. */
function again(e: unknown): boolean {
  return e instanceof Problem && ['unavailable', 'conflict', 'canceled'].includes(e.kind);
}

async function cause(outcome: Promise<StoredObject>, e: unknown): Promise<unknown> {
  return Promise.race([outcome.then(() => e, (why: unknown) => (why instanceof Problem ? why : e)), new Promise((ok) => setTimeout(ok, 500, e))]);
}

async function part(id: string, blob: Blob, offset: number, signal: AbortSignal): Promise<Upload> {
  const res = await send(`/v1/uploads/${id}?offset=${offset}`, {
    method: 'PUT', body: blob.slice(offset, offset + partSize), signal, headers: { 'Content-Type': 'application/octet-stream' },
  });
  return (await res.json()) as Upload;
}

async function watch(id: string, report: (p: Progress) => void, signal: AbortSignal): Promise<StoredObject> {
  const res = await send(`/v1/uploads/${id}`, { signal });
  let object: StoredObject | undefined;
  await lines<PutUpdate>(res, (u) => {
    if (u.error) throw new Problem(u.error.detail, u.error.kind, u.error.status);
    if (u.object) object = u.object;
    if (u.progress) report(u.progress);
  });
  if (!object) throw new Problem('the node stopped before the object was stored', 'unavailable', 0);
  return object;
}

