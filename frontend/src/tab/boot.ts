// Starting the tab's kernel: what it is, its memory, its threads.
import { ARENA_BYTES, shared } from '../bridge/memory.ts';
import { openPort, transfers, type Port } from '../bridge/port.ts';
import { newPair } from '../bridge/pair.ts';
import { Problem } from '../lib/api.ts';
import type { Network } from './network.ts';
import type { FromKernel, KernelStart, ToKernel } from './kernel.worker.ts';
import type { TabSettings } from './types.ts';

/** STORE is the folder of the node in the origin's private file system. */
const STORE = 'inos';

/** Listed is what the server says of the kernel: boot.json. */
interface Listed { wasm: string; exec: string; modules: string; builtins: unknown[] }

/** BootOptions say how the kernel starts. */
export interface BootOptions {
  name: string;
  settings: TabSettings;
  quota: number; // bytes of blocks; 0 for what the browser gives
  network: () => Network; // starts a network worker
}

/** Kernel is a running kernel worker. */
export interface Kernel {
  port: Port;
  arena: SharedArrayBuffer | undefined;
  /** ended resolves, with the reason, when the kernel has stopped or crashed. */
  ended: Promise<string>;
  /** sensor says that a sensor's ring was begun, or that it is off. */
  sensor(name: string, sensor: number, on: boolean): void;
  stop(): void;
}

async function listed(): Promise<Listed> {
  const res = await fetch('/kernel/boot.json');
  if (!res.ok) throw new Problem('this server has no kernel for browser tabs', 'not_found', res.status);
  return (await res.json()) as Listed;
}

/** bootKernel starts a kernel. It rejects when the server has none. */
export async function bootKernel(o: BootOptions): Promise<Kernel> {
  const l = await listed();
  const [mine, theirs] = newPair();
  const memory = shared() ? new WebAssembly.Memory({ initial: ARENA_BYTES >>> 16, maximum: ARENA_BYTES >>> 16, shared: true }) : undefined;
  const arena = memory?.buffer as unknown as SharedArrayBuffer | undefined;
  const worker = new Worker(new URL('./kernel.worker.ts', import.meta.url), { type: 'module', name: 'inos-kernel' }); // last: it runs until it is ended
  let over: (why: string) => void = () => undefined;
  const ended = new Promise<string>((ok) => { over = ok; });
  worker.onerror = (e) => over(e.message || 'the kernel worker failed to start');
  worker.onmessage = (e: MessageEvent<FromKernel>) => {
    const m = e.data;
    if (m.t === 'ended') over(m.why);
    else answer(m.n);
  };
  // The kernel has one network host at a time: who asks for another worker has ended the one before.
  let network: Network | undefined;
  const answer = (n: number): void => {
    network?.stop();
    network = undefined;
    try {
      network = o.network();
      worker.postMessage({ t: 'dialed', n, end: network.end } satisfies ToKernel, transfers(network.end));
    } catch (e) { // no memory or no thread: the kernel waits for an answer all the same
      network?.stop();
      network = undefined;
      worker.postMessage({ t: 'dialed', n, why: e instanceof Error ? e.message : String(e) } satisfies ToKernel);
    }
  };
  const start: KernelStart = {
    wasm: l.wasm, exec: new URL(l.exec, location.href).href, api: theirs, arena: memory,
    boot: JSON.stringify({
      store: STORE, name: o.name, cores: navigator.hardwareConcurrency || 1, quota: o.quota, settings: o.settings, builtins: l.builtins, modules: l.modules,
    }),
  };
  worker.postMessage(start, transfers(theirs));
  return {
    port: openPort(mine), arena, ended,
    sensor: (name, sensor, on) => worker.postMessage({ t: 'sensor', name, sensor, on } satisfies ToKernel),
    stop: () => { worker.terminate(); network?.stop(); over('the tab stopped it'); },
  };
}
