import { expect, it } from 'vitest';
import { handler, type Caller } from './rest.ts';

interface Asked { method: string; args: unknown; body?: number }

/** kernel answers with what it was asked, and fails on demand. */
function kernel(): { asked: Asked[]; caller: Caller; late?: (v: unknown) => void } {
  const asked: Asked[] = [];
  const k: ReturnType<typeof kernel> = {
    asked,
    caller: {
      async call(method, args, o = {}) {
        asked.push({ method, args, ...(o.body ? { body: o.body.size } : {}) });
        if (method === 'module') throw { kind: 'not-found', message: 'no module of this name' };
        if (method === 'run') { o.onItem?.({ spec: { id: '1' } }); throw { kind: 'unfunded', message: 'no credits' }; }
        if (method === 'get') { o.onItem?.({ media_type: 'text/plain' }); void o.onBytes?.(Uint8Array.of(104, 105)); }
        if (method === 'events') {
          o.onItem?.({ id: '7' });
          if (o.onItem) k.late = o.onItem;
          await new Promise((_, fail) => o.signal?.addEventListener('abort', () => fail(new Error('stopped'))));
        }
        return { method };
      },
    },
  };
  return k;
}

it('asks the kernel what a view asks a node', async () => {
  const k = kernel(), send = handler(k.caller);
  const root = 'bafkr4iabc', key = 'k'.repeat(43);
  await send(`/v1/objects/${root}?path=a%2Fb&limit=10`, { headers: { 'Inos-Key': key } });
  await send('/v1/objects?limit=1000&after=x', {});
  await send(`/v1/objects/${root}/holders`, {});
  await send(`/v1/objects/${root}`, { method: 'DELETE' });
  await send('/v1/jobs?limit=5&active=true', {});
  await send('/v1/quotes', { method: 'POST', body: '{"module":"compute"}' });
  await send('/v1/modules/boids/start', { method: 'POST', body: '{"workers":2}' });
  await send('/v1/modules/boids/stop', { method: 'POST', body: '{}' });
  await send('/v1/residents', {});
  await send('/v1/modules', { method: 'POST', body: new Blob(['wasm']) });
  expect(k.asked).toEqual([
    { method: 'stat', args: { link: `inos:${root}#${key}`, path: 'a/b', after: '', limit: 10 } },
    { method: 'list', args: { after: 'x', limit: 1000, find: '', outputs: '' } },
    { method: 'holders', args: `inos:${root}` },
    { method: 'remove', args: `inos:${root}` },
    { method: 'jobs', args: { batch: '0'.repeat(32), state: '', active: true, after: '', limit: 5 } },
    { method: 'quote', args: { module: 'compute' } },
    { method: 'moduleStart', args: { ref: 'boids', workers: 2 } },
    { method: 'moduleStop', args: 'boids' },
    { method: 'residents', args: {} },
    { method: 'moduleAdd', args: {}, body: 4 },
  ]);
});

it('reads ranges, streams lines, and turns refusals into problems', async () => {
  const k = kernel(), send = handler(k.caller);
  const file = await send('/v1/objects/r/content?path=f', { headers: { Range: 'bytes=10-41' } });
  expect(await file.text()).toBe('hi');
  expect(file.headers.get('Content-Type')).toBe('text/plain');
  expect(k.asked[0]?.args).toMatchObject({ offset: 10, length: 32, path: 'f' });

  const run = await send('/v1/runs', { method: 'POST', body: '{}' });
  expect((await run.text()).trim().split('\n').map((l) => JSON.parse(l) as unknown)).toEqual([
    { job: { spec: { id: '1' } } }, { error: { kind: 'unfunded', detail: 'no credits', status: 402 } },
  ]);

  const missing = await send('/v1/modules/none', {});
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ kind: 'not-found', detail: 'no module of this name' });
  expect((await send('/v1/shutdown', { method: 'POST' })).status).toBe(501);

  const end = new AbortController(), events = await send('/v1/events?since=3', { signal: end.signal });
  const reader = events.body!.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('{"id":"7"}\n');
  end.abort();
  await expect(reader.read()).rejects.toThrow();

  const other = await send('/v1/events?since=3', {}), second = other.body!.getReader();
  await second.read();
  await second.cancel(); // an event that is under way meets a closed stream
  k.late?.({ id: '8' });
});
