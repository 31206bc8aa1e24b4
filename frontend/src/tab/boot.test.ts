import { afterEach, expect, it, vi } from 'vitest';
import { newPair } from '../bridge/pair.ts';
import { bootKernel } from './boot.ts';
import type { FromKernel, KernelStart, ToKernel } from './kernel.worker.ts';
import { resting } from './types.ts';

afterEach(() => vi.unstubAllGlobals());

/** Thread is a kernel worker, as far as the page sees it. */
class Thread {
  static last: Thread;
  readonly heard: (KernelStart | ToKernel)[] = [];
  onmessage: ((e: { data: FromKernel }) => void) | undefined;
  ended = false;
  constructor() { Thread.last = this; }
  postMessage(m: KernelStart | ToKernel): void { this.heard.push(m); }
  terminate(): void { this.ended = true; }
}

it('answers a kernel for which the tab has no network worker, and the next time gives it one', async () => {
  vi.stubGlobal('Worker', Thread);
  vi.stubGlobal('navigator', { hardwareConcurrency: 2 });
  vi.stubGlobal('location', { href: 'http://tab.invalid/' });
  vi.stubGlobal('fetch', () => Promise.resolve(Response.json({ wasm: '/k.wasm', exec: '/e.js', modules: '/m/', builtins: [] })));
  let memory = false, stopped = 0;
  const kernel = await bootKernel({
    name: 'tab', settings: resting, quota: 0,
    network: () => {
      if (!memory) throw new RangeError('Array buffer allocation failed');
      return { end: newPair()[0], stop: () => { stopped++; } };
    },
  });
  const dial = (n: number): ToKernel => {
    Thread.last.onmessage?.({ data: { t: 'dial', n, name: 'net' } });
    return Thread.last.heard.at(-1) as ToKernel;
  };
  expect(dial(1)).toEqual({ t: 'dialed', n: 1, why: 'Array buffer allocation failed' });
  memory = true;
  expect(dial(2)).toMatchObject({ t: 'dialed', n: 2, end: {} });
  memory = false;
  expect(dial(3)).toMatchObject({ n: 3, why: 'Array buffer allocation failed' });
  expect(stopped).toBe(1); // the worker of the network host before
  kernel.stop();
  expect(stopped).toBe(1);
});
