// A module worker: other people's WebAssembly runs here, one call at a time, with memory of its own.
//
// What a guest can reach is what it imports, and that is made in guest/instance.ts: its gas, a log, system calls that the
// kernel decides, and a clock and randomness that are the job's. This file takes the rest away from the thread before the
// first guest, and the server sends it with a policy that allows no connection, so that a defect of the engine finds little.
import { openPort, type PortEnd } from '../bridge/port.ts';
import { WatchedWord } from '../bridge/stopword.ts';
import { Machine } from './guest/machine.ts';
import type { FromWorker, ToWorker } from './guest/messages.ts';

/** Start is the first message: what the thread shares with the kernel's, where memory can be shared. */
export interface Start { port: PortEnd | undefined; stop: SharedArrayBuffer | undefined }

/** kept are the globals that the machine uses, beside the language's own. */
const kept = new Set(['globalThis', 'postMessage', 'onmessage', 'performance', 'WebAssembly', 'Atomics', 'SharedArrayBuffer', 'TextEncoder', 'TextDecoder', 'crossOriginIsolated', 'MessageChannel', 'MessagePort', 'console', 'close']);

const post = globalThis.postMessage.bind(globalThis) as (m: FromWorker, transfer: Transferable[]) => void;

function disarm(): void {
  for (let o: object = globalThis; o !== Object.prototype; o = Object.getPrototypeOf(o) as object) {
    for (const name of Object.getOwnPropertyNames(o)) {
      const d = Object.getOwnPropertyDescriptor(o, name);
      if (kept.has(name) || !d?.configurable || /^[A-Z]/.test(name) && name in intrinsics) continue;
      Reflect.deleteProperty(o, name);
    }
  }
}

/** intrinsics are the language's own: they reach nothing outside the thread. */
const intrinsics: Record<string, true> = Object.fromEntries(
  ['Object', 'Function', 'Array', 'Number', 'Boolean', 'String', 'Symbol', 'BigInt', 'Math', 'JSON', 'Map', 'Set', 'WeakMap', 'WeakSet', 'WeakRef', 'Promise', 'Proxy', 'Reflect', 'RegExp', 'Date', 'Error',
    'RangeError', 'TypeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError', 'AggregateError', 'ArrayBuffer', 'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array',
    'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array', 'Infinity', 'NaN', 'FinalizationRegistry', 'Iterator'].map((n) => [n, true]),
);

globalThis.onmessage = (first: MessageEvent<Start>): void => {
  const port = first.data.port && openPort(first.data.port);
  const stop = new WatchedWord(first.data.stop);
  disarm();
  const machine = new Machine((m, transfer = []) => post(m, transfer), port, stop);
  globalThis.onmessage = (e: MessageEvent<ToWorker>): void => {
    try {
      machine.serve(e.data);
    } catch (err) {
      post({ t: 'crashed', text: err instanceof Error ? err.message : String(err) }, []);
    }
  };
};
