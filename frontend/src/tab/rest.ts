// The page's requests, answered by this tab's own node: the same paths and shapes as a native node's HTTP API, so
// that every view works on either. What a tab's node has no part in answers with kind unsupported.

/** Caller is the way to the kernel. */
export interface Caller {
  /** Calls a method. onItem gets what it tells on the way, onBytes its output; body is what it takes. */
  call(method: string, args: unknown, o?: { body?: Blob; onItem?: (v: unknown) => void; onBytes?: (b: Uint8Array) => void | Promise<void>; signal?: AbortSignal }): Promise<unknown>;
}

/** Refused is an error of the kernel. */
interface Refused { kind: string; message: string }

const statusOf: Record<string, number> = { 'not-found': 404, denied: 403, invalid: 400, exists: 409, conflict: 409, unsupported: 501, timeout: 504, unavailable: 503, exhausted: 429, unfunded: 402 };

function problem(e: unknown): Response {
  const r = e as Partial<Refused>;
  const kind = r.kind ?? 'other';
  return Response.json({ kind, detail: r.message ?? String(e), status: statusOf[kind] ?? 500 }, { status: statusOf[kind] ?? 500 });
}

interface Request { method: string; path: string[]; query: URLSearchParams; key: string; range: string; init: RequestInit }

/** handler answers the requests of the page's views. */
export function handler(kernel: Caller): (path: string, init: RequestInit) => Promise<Response> {
  return async (path, init) => {
    const url = new URL(path, 'http://tab.invalid');
    const headers = new Headers(init.headers);
    const r: Request = {
      method: init.method ?? 'GET', path: url.pathname.split('/').filter(Boolean).slice(1).map(decodeURIComponent), query: url.searchParams,
      key: headers.get('Inos-Key') ?? '', range: headers.get('Range') ?? '', init,
    };
    try {
      return await route(kernel, r);
    } catch (e) {
      if (init.signal?.aborted) throw e;
      return problem(e);
    }
  };
}

const number = (q: URLSearchParams, name: string): number => Number(q.get(name) ?? 0) || 0;
const text = (q: URLSearchParams, name: string): string => q.get(name) ?? '';
const zeroID = '0'.repeat(32);

async function route(kernel: Caller, r: Request): Promise<Response> {
  const [what = '', ref = '', part = ''] = r.path;
  const signal = r.init.signal ?? undefined;
  const ask = async (method: string, args: unknown = {}, input?: Blob): Promise<Response> =>
    Response.json(await kernel.call(method, args, { ...(signal ? { signal } : {}), ...(input ? { body: input } : {}) }) ?? {});
  const body = (): unknown => JSON.parse(String(r.init.body ?? '{}'));
  const link = (): string => `inos:${ref}${r.key ? `#${r.key}` : ''}`;
  switch (`${r.method} ${what}${ref ? '/*' : ''}${part ? `/${part}` : ''}`) {
    case 'GET status': case 'GET peers': case 'GET doctor': case 'GET modules': case 'GET arena': return ask(what);
    case 'GET objects': return ask('list', { after: text(r.query, 'after'), limit: number(r.query, 'limit'), find: text(r.query, 'find'), outputs: text(r.query, 'outputs') });
    case 'GET objects/*': return ask('stat', { link: link(), path: text(r.query, 'path'), after: text(r.query, 'after'), limit: number(r.query, 'limit') });
    case 'GET objects/*/holders': return ask('holders', link());
    case 'GET objects/*/content': return content(kernel, r, link());
    case 'DELETE objects/*': return ask('remove', link());
    case 'GET modules/*': return ask('module', ref);
    case 'POST modules': return ask('moduleAdd', {}, r.init.body as Blob);
    case 'GET modules/*/supervisor': return ask('moduleReport', ref);
    case 'POST modules/*/reset': return ask('moduleReset', ref);
    case 'POST modules/*/start': return ask('moduleStart', { ...(body() as object), ref });
    case 'POST modules/*/stop': return ask('moduleStop', ref);
    case 'GET residents': return ask('residents');
    case 'GET jobs': return ask('jobs', { batch: text(r.query, 'batch') || zeroID, state: text(r.query, 'state'), active: r.query.get('active') === 'true', after: text(r.query, 'after'), limit: number(r.query, 'limit') });
    case 'GET jobs/*': return ask('job', ref);
    case 'DELETE jobs/*': return ask('jobCancel', ref);
    case 'POST quotes': return ask('quote', body());
    case 'POST runs': return lines(kernel, 'run', body(), (v) => ({ job: v }), signal);
    case 'GET events': return lines(kernel, 'events', number(r.query, 'since'), (v) => v, signal);
    case 'GET credits': return ask('credits', { account: text(r.query, 'account'), cause: text(r.query, 'cause'), before: number(r.query, 'before'), limit: number(r.query, 'limit') });
    case 'GET settings': case 'GET log': return Response.json([]);
  }
  throw { kind: 'unsupported', message: 'This tab’s node does not do that; ask a native node' } satisfies Refused;
}

/** lines streams what a method tells, a line each; a failure becomes the last line. */
function lines(kernel: Caller, method: string, args: unknown, shape: (v: unknown) => unknown, signal?: AbortSignal): Response {
  const encoder = new TextEncoder(), end = new AbortController();
  let canceled = false; // by the reader: the stream is closed already
  signal?.addEventListener('abort', () => end.abort(), { once: true });
  const stream = new ReadableStream<Uint8Array>({
    start(out) {
      const put = (v: unknown): void => { if (!end.signal.aborted) out.enqueue(encoder.encode(`${JSON.stringify(v)}\n`)); };
      kernel.call(method, args, { onItem: (v) => put(shape(v)), signal: end.signal }).then(
        () => { if (!end.signal.aborted) out.close(); },
        (e: unknown) => {
          if (end.signal.aborted) { if (!canceled) out.error(e); return; }
          const r = e as Partial<Refused>;
          put({ error: { kind: r.kind ?? 'other', detail: r.message ?? String(e), status: statusOf[r.kind ?? ''] ?? 500 } });
          out.close();
        },
      );
    },
    cancel() { canceled = true; end.abort(); },
  });
  return new Response(stream, { headers: { 'Content-Type': 'application/x-ndjson' } });
}

/** content reads a file, or the range of it that the request names. */
async function content(kernel: Caller, r: Request, link: string): Promise<Response> {
  const m = /^bytes=(\d+)-(\d+)$/.exec(r.range);
  const offset = m ? Number(m[1]) : 0, length = m ? Number(m[2]) - offset + 1 : 0;
  const parts: BlobPart[] = [];
  let type = 'application/octet-stream';
  const signal = r.init.signal ?? undefined;
  await kernel.call('get', { link, path: text(r.query, 'path'), tar: r.query.get('tar') === 'true', offset, length }, {
    onItem: (v) => { type = (v as { media_type?: string }).media_type || type; },
    onBytes: (b) => { parts.push(b.slice()); },
    ...(signal ? { signal } : {}),
  });
  return new Response(new Blob(parts, { type }));
}
