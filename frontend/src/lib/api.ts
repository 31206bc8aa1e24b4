// The node's API as the page uses it: typed by the OpenAPI document, with the
// page's key on every request and errors as Problem.
import type { components } from '../gen/api';

type Schemas = components['schemas'];
export type Status = Schemas['Status'];
export type Peer = Schemas['Peer'];
export type StoredObject = Schemas['Object'];
export type Stat = Schemas['Stat'];
export type FileInfo = Schemas['FileInfo'];
export type Holders = Schemas['Holders'];
export type Job = Schemas['Job'];
export type ModuleInfo = Schemas['ModuleInfo'];
export type ModuleReport = Schemas['ModuleReport'];
export type Resident = Schemas['Resident'];
export type ModuleMethod = Schemas['ModuleMethod'];
export type Quote = Schemas['Quote'];
export type RunRequest = Schemas['RunRequest'];
export type RunInput = Schemas['RunInput'];
export type CreditsReport = Schemas['CreditsReport'];
export type Entry = Schemas['Entry'];
export type Invite = Schemas['Invite'];
export type Check = Schemas['Check'];
export type Setting = Schemas['Setting'];
export type LogLine = Schemas['LogLine'];
export type Upload = Schemas['Upload'];
export type Progress = Schemas['Progress'];
export type PutUpdate = Schemas['PutUpdate'];
export type ArenaMap = Schemas['ArenaMap'];
export type ArenaRegion = Schemas['ArenaRegion'];
export type NodeEvent = Schemas['EventUpdate'];
type ProblemBody = Schemas['Problem'];

const keyStore = 'inos.key';

/** Problem is an error of the node, or of the way to it. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly kind: string,
    readonly status: number,
  ) {
    super(message);
    this.name = 'Problem';
  }
}

/** messageOf is an error's text for people. */
export function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

export function hasKey(): boolean {
  return localStorage.getItem(keyStore) !== null;
}

export function forgetKey(): void {
  localStorage.removeItem(keyStore);
}

let onSignedOut = (): void => undefined;
/** whenSignedOut names what is called when the node no longer knows this browser. */
export function whenSignedOut(fn: () => void): void {
  onSignedOut = fn;
}

async function problemOf(res: Response): Promise<Problem> {
  try {
    const p = (await res.json()) as ProblemBody;
    return new Problem(p.detail || res.statusText, p.kind, res.status);
  } catch {
    return new Problem(`the node answered ${res.status} ${res.statusText}`, 'other', res.status);
  }
}

/** TabWay is the way to this tab's own node: requests as to a native one, and puts. */
export interface TabWay {
  send(path: string, init: RequestInit): Promise<Response>;
  put(request: { name: string; folder: boolean; size: number; files: number; policy: { copies: number } }, body: Blob, report: (p: Progress) => void, signal: AbortSignal): Promise<StoredObject>;
}

let tabWay: TabWay | undefined;

/** goThrough makes the page speak to this tab's own node from now on; undefined, to the native node that served it. */
export function goThrough(way: TabWay | undefined): void { tabWay = way; }

/** tabNode is the way to this tab's node while the page speaks to it. */
export function tabNode(): TabWay | undefined { return tabWay; }

/** send makes one request and returns the answer when it is a good one. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  if (tabWay) {
    const res = await tabWay.send(path, init);
    if (res.ok) return res;
    throw await problemOf(res);
  }
  const headers = new Headers(init.headers);
  headers.set('Inos-Page', localStorage.getItem(keyStore) ?? '');
  let res: Response;
  try {
    res = await fetch(path, { ...init, headers });
  } catch (e) {
    if (init.signal?.aborted) throw e;
    throw new Problem('the node does not answer; is it running?', 'unavailable', 0);
  }
  if (res.ok) return res;
  const p = await problemOf(res);
  if (res.status === 401) onSignedOut();
  throw p;
}

export async function get<T>(path: string, key?: string, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = key ? { headers: { 'Inos-Key': key } } : {};
  if (signal) init.signal = signal;
  return (await (await send(path, init)).json()) as T;
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  if (signal) init.signal = signal;
  return (await (await send(path, init)).json()) as T;
}

export async function remove(path: string, keepalive = false): Promise<void> {
  await send(path, { method: 'DELETE', keepalive });
}

/** lines calls fn for each JSON line of an answer. It returns at its end. */
export async function lines<T>(res: Response, fn: (value: T) => void): Promise<void> {
  if (!res.body) return;
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) if (line) fn(JSON.parse(line) as T);
    }
    if (rest) fn(JSON.parse(rest) as T);
  } finally {
    void reader.cancel().catch(() => undefined); // a reader that fails stops what is sent
  }
}

/** signIn exchanges a one-time token. */
export async function signIn(token: string): Promise<void> {
  const res = await fetch('/page/session', { method: 'POST', body: JSON.stringify({ token }) });
  if (!res.ok) throw await problemOf(res);
  const { key } = (await res.json()) as { key: string };
  localStorage.setItem(keyStore, key);
}

export async function signOut(): Promise<void> {
  await send('/page/session', { method: 'DELETE' });
  forgetKey();
}

/** Link is an object's address and, unless it is public, its key. */
export interface Link {
  root: string;
  key: string;
}

/** parseLink takes inos:ROOT#KEY apart; null when it is none. */
export function parseLink(text: string): Link | null {
  const m = /^inos:([a-z2-7]{20,80})(?:#([A-Za-z0-9_-]{43}))?$/.exec(text.trim());
  return m ? { root: m[1] ?? '', key: m[2] ?? '' } : null;
}

export function objectPath(link: Link, rest = '', query: Record<string, string> = {}): string {
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== ''));
  return `/v1/objects/${link.root}${rest}${q.size ? `?${q}` : ''}`;
}

export function stat(link: Link, path = '', after = '', signal?: AbortSignal): Promise<Stat> {
  return get<Stat>(objectPath(link, '', { path, after, limit: '1000' }), link.key, signal);
}

export function holders(link: Link, signal?: AbortSignal): Promise<Holders> {
  return get<Holders>(objectPath(link, '/holders'), link.key, signal);
}

/** ticket is an address that an element of the page can load. One of this tab's node holds the bytes until the page goes. */
export async function ticket(link: string, path: string, o: { tar?: boolean; preview?: boolean }): Promise<string> {
  const parsed = parseLink(link);
  if (tabWay && parsed) {
    const res = await send(objectPath(parsed, '/content', { path, tar: o.tar ? 'true' : '' }), { headers: { 'Inos-Key': parsed.key } });
    return URL.createObjectURL(await res.blob());
  }
  const t = await post<Schemas['Ticket']>('/v1/tickets', { link, path, ...o });
  return t.url;
}

/** download saves a file, or a folder as a tar file. */
export async function download(link: string, path: string, tar: boolean, name: string): Promise<void> {
  const a = document.createElement('a');
  a.href = await ticket(link, path, { tar });
  a.download = tar ? `${name}.tar` : name;
  document.body.append(a);
  a.click();
  a.remove();
  if (a.href.startsWith('blob:')) URL.revokeObjectURL(a.href);
}

/** head reads the first bytes of a file. */
export async function head(link: Link, path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array> {
  const init: RequestInit = { headers: { 'Inos-Key': link.key, Range: `bytes=0-${limit - 1}` } };
  if (signal) init.signal = signal;
  const res = await send(objectPath(link, '/content', { path }), init);
  return new Uint8Array(await res.arrayBuffer());
}
