// The kernel worker: it hands the Go kernel (cmd/inos-kernel-js) what it may use of this tab, and runs it.
import { KernelMemory } from '../bridge/kernelmemory.ts';
import { KernelPort } from '../bridge/kernelport.ts';
import { KernelSensors } from '../bridge/kernelsensors.ts';
import { openPort, type PortEnd } from '../bridge/port.ts';
import { moduleWorkers } from './modules.ts';
import { install } from './store/files.ts';

/** KernelStart is the first message. */
export interface KernelStart {
  wasm: string;               // addresses of the kernel and of the toolchain's glue
  exec: string;
  boot: string;               // JSON: boot of cmd/inos-kernel-js
  api: PortEnd;
  arena: WebAssembly.Memory | undefined; // shared; modules that live in the arena need it as what it is
}

/** ToKernel answers a dial, or says that a sensor was switched; FromKernel asks for a dial, or says that the kernel has ended. */
export type ToKernel = { t: 'dialed'; n: number; end?: PortEnd; why?: string } | { t: 'sensor'; name: string; sensor: number; on: boolean };
export type FromKernel = { t: 'dial'; n: number; name: string } | { t: 'ended'; why: string };

interface Go { importObject: WebAssembly.Imports; run(instance: WebAssembly.Instance): Promise<void> }
declare const Go: new () => Go;

const post = (m: FromKernel): void => { (globalThis as unknown as { postMessage(m: unknown): void }).postMessage(m); };

const dials = new Map<number, { done: (p: KernelPort) => void; fail: (e: unknown) => void }>(); // one for each network host of the kernel
let last = 0;

function dial(name: string): Promise<KernelPort> {
  return new Promise((done, fail) => {
    dials.set(++last, { done, fail });
    post({ t: 'dial', n: last, name });
  });
}

let sensors: KernelSensors | undefined;

function told(m: ToKernel): void {
  if (m.t === 'sensor') { sensors?.set(m.name, m.sensor, m.on); return; }
  const d = dials.get(m.n);
  dials.delete(m.n);
  if (!m.end) { d?.fail(new Error(m.why ?? 'the page made no thread')); return; }
  try {
    d?.done(new KernelPort(openPort(m.end)));
  } catch (e) { // no memory for it: one dial has failed, the kernel has not
    d?.fail(e);
  }
}

async function start(s: KernelStart): Promise<void> {
  install();
  const arena = s.arena?.buffer as SharedArrayBuffer | undefined;
  if (arena) sensors = new KernelSensors(arena);
  Object.assign(globalThis, {
    inosHost: {
      boot: s.boot, ports: { api: new KernelPort(openPort(s.api)) }, modules: moduleWorkers(s.arena), dial,
      ...(arena ? { memory: new KernelMemory(arena), sensors } : {}),
    },
  });
  const [, wasm] = await Promise.all([import(/* @vite-ignore */ s.exec), WebAssembly.compileStreaming(fetch(s.wasm))]);
  const go = new Go();
  await go.run(await WebAssembly.instantiate(wasm, go.importObject));
}

globalThis.onmessage = (first: MessageEvent<KernelStart>): void => {
  globalThis.onmessage = (e: MessageEvent<ToKernel>) => told(e.data);
  start(first.data).then(
    () => post({ t: 'ended', why: 'the kernel has stopped' }),
    (e: unknown) => post({ t: 'ended', why: e instanceof Error ? e.message : String(e) }),
  );
};
