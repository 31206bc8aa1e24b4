// The module workers as the Go kernel uses them (host/webwasm): made on demand, spoken to in messages, ended at will.
//
// spawn, resident, bytes, post and KernelResident.run may throw, for want of memory or threads: Go calls them with
// browser.Call. Nothing else here does, for Go would take an exception for a panic and end the kernel.
import { KernelPort } from '../bridge/kernelport.ts';
import { MAX_MESSAGE, PORT_RING, openPort, pairRings, transfers, type PortEnd } from '../bridge/port.ts';
import { shared } from '../bridge/memory.ts';
import { StopWord } from '../bridge/stopword.ts';
import type { FromWorker, ToWorker } from './guest/messages.ts';
import type { Start } from './module.worker.ts';
import { KernelResident, type KernelResidentStart } from './residents.ts';

/** SMALL_RING is the data of the direction in which nothing travels: workers answer by postMessage, also when they wait. */
const SMALL_RING = 64;

/** ModuleWorker is one thread, held by Go. */
export class ModuleWorker {
  /** port takes what a guest in a system call waits for; undefined without shared memory, where no guest can wait. */
  readonly port: KernelPort | undefined;
  private readonly word: StopWord | undefined;

  constructor(private readonly worker: Worker) {
    let theirs: PortEnd | undefined;
    if (shared()) {
      const control = 512, memory = new SharedArrayBuffer(4096 + PORT_RING);
      const [mine, other] = pairRings(
        memory,
        { control: 0, data: 4096, capacity: PORT_RING, maxMessage: MAX_MESSAGE },
        { control, data: 2048, capacity: SMALL_RING, maxMessage: 8 },
      );
      theirs = other;
      this.port = new KernelPort(openPort(mine));
      this.word = new StopWord();
    }
    const start: Start = { port: theirs, stop: this.word?.buffer };
    worker.postMessage(start, theirs ? transfers(theirs) : []);
  }

  /** listen gives Go every message, in order. */
  listen(fn: (m: FromWorker) => void): void {
    this.worker.onmessage = (e: MessageEvent<FromWorker>) => fn(e.data);
    this.worker.onerror = (e) => fn({ t: 'crashed', text: e.message });
    this.worker.onmessageerror = () => fn({ t: 'crashed', text: 'a message could not be read' });
  }

  /** post sends a message; what it carries in buffers of their own moves. */
  post(m: ToWorker, ...move: Uint8Array<ArrayBuffer>[]): void { this.worker.postMessage(m, move.map((b) => b.buffer)); }

  /** stop asks the running guest to end at its next slice: 1 for its caller, 2 for the node, 0 for nobody. False when it cannot be asked. */
  stop(why: number): boolean {
    this.word?.set(why);
    return this.word !== undefined;
  }

  /** terminate ends the thread. */
  terminate(): void {
    this.worker.onmessage = this.worker.onerror = this.worker.onmessageerror = null; // what it still says, nobody wants
    this.worker.terminate();
  }
}

/** ModuleWorkers is what globalThis.inosHost.modules is. */
export class ModuleWorkers {
  /** arena is the memory of residents, and how to make their threads; undefined without shared memory. */
  constructor(private readonly make: () => Worker, private readonly arena?: { memory: WebAssembly.Memory; make: (index: number) => Worker }) {}

  /** resident starts a resident; undefined without shared memory. */
  resident(o: KernelResidentStart, tell: ConstructorParameters<typeof KernelResident>[3]): KernelResident | undefined {
    return this.arena && new KernelResident(this.arena.memory, this.arena.make, o, tell);
  }

  /** bytes makes room for what Go gives. */
  bytes(n: number): Uint8Array { return new Uint8Array(n); }

  /** spawn starts a thread. */
  spawn(): ModuleWorker {
    const worker = this.make();
    try {
      return new ModuleWorker(worker);
    } catch (e) {
      worker.terminate();
      throw e;
    }
  }
}

/** moduleWorkers makes threads of the built module worker, and residents in an arena. */
export const moduleWorkers = (memory: WebAssembly.Memory | undefined): ModuleWorkers =>
  new ModuleWorkers(
    () => new Worker(new URL('./module.worker.ts', import.meta.url), { type: 'module', name: 'inos-module' }),
    memory && { memory, make: (i) => new Worker(new URL('./resident.worker.ts', import.meta.url), { type: 'module', name: `inos-resident-${i}` }) },
  );
