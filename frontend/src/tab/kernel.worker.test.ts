import { expect, it, vi } from 'vitest';
import { ARENA_BYTES } from '../bridge/memory.ts';
import { newPair } from '../bridge/pair.ts';
import type { KernelStart, ToKernel } from './kernel.worker.ts';

type Scope = { postMessage: (m: unknown) => void; onmessage: (e: { data: KernelStart | ToKernel }) => void; inosHost: { dial(name: string): Promise<unknown> } };
const scope = globalThis as unknown as Scope;

it('fails one dial, and not the kernel, for an end or a sensor that cannot be opened', async () => {
  const said: unknown[] = [];
  scope.postMessage = (m) => said.push(m);
  await import('./kernel.worker.ts');
  const tell = (m: KernelStart | ToKernel): void => scope.onmessage({ data: m });
  const arena = new WebAssembly.Memory({ initial: ARENA_BYTES >>> 16, maximum: ARENA_BYTES >>> 16, shared: true });
  tell({ wasm: 'http://tab.invalid/k', exec: 'data:text/javascript,', boot: '{}', api: newPair()[1], arena });

  const ring = { control: 0, data: 512, capacity: 64, maxMessage: 8 };
  const refused = scope.inosHost.dial('net');
  tell({ t: 'dialed', n: 1, end: { kind: 'rings', memory: new SharedArrayBuffer(1024), out: ring, in: ring } });
  await expect(refused).rejects.toThrow('no ring is formatted here');

  const short = scope.inosHost.dial('net');
  vi.stubGlobal('Uint8Array', class { constructor() { throw new RangeError('Array buffer allocation failed'); } });
  tell({ t: 'dialed', n: 2, end: newPair()[0] });
  vi.unstubAllGlobals();
  await expect(short).rejects.toThrow('Array buffer allocation failed');

  const late = scope.inosHost.dial('net');
  tell({ t: 'dialed', n: 3, why: 'no thread' });
  await expect(late).rejects.toThrow('no thread');

  tell({ t: 'sensor', name: 'location', sensor: 0, on: true }); // its ring was never begun
  expect(said.filter((m) => (m as { t: string }).t === 'dial')).toHaveLength(3);
});
