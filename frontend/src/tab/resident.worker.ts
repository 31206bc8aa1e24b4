// One worker of a resident: an instance of a signed module whose memory is the arena. host/wasm/resident_worker.go is its
// native counterpart, docs/abi.md the contract.
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { ARENA_BYTES, Memory } from '../bridge/memory.ts';
import { openPort, type Port, type PortEnd } from '../bridge/port.ts';
import { StateWriter, stateBytes } from '../bridge/state.ts';
import { Team, Wanted } from '../bridge/team.ts';
import { Stop, reasonOf } from './guest/stop.ts';

/** Metered is what metered code needs of its host: see kernel/module/meter. */
export interface Metered { importModule: string; gas: string; slice: number; reasonStack: number; reasonTable: number; stepMS: number }

/** Open makes a worker. Without memory it makes its own. The first one starts the module, and takes states and memory from the free part of the arena's heap. */
export interface Open {
  t: 'open'; memory: WebAssembly.Memory | undefined; module: WebAssembly.Module; team: SharedArrayBuffer | undefined;
  index: number; workers: number; placeEnd: number; heap: { at: number; end: number };
  metered: Metered | undefined;
  port: PortEnd | undefined; // where the kernel says which memory the first worker gets; undefined: of the heap above
}
/** ToResident is what a worker is told: run goes on until the team rests; step makes one step and answers with a copy. */
export type ToResident = Open | { t: 'start'; request: Uint8Array } | { t: 'run' } | { t: 'step' };

/** Made is a state that the module shows. */
export interface Made { name: string; at: number }
/** FromResident is what a worker says. */
export type FromResident =
  | { t: 'opened' }
  | { t: 'started'; states: Made[]; response: Uint8Array }
  | { t: 'rested' }
  | { t: 'copy'; numbers: Float32Array<ArrayBuffer>; version: number; ms: number; sent: number }
  | { t: 'log'; level: number; line: string }
  | { t: 'ask'; state: string; bytes: number } // of a state with that name, or of plain memory: ''
  | { t: 'failed'; code: string; text: string };

const PAGE = 4096;
const up = (n: number, to: number): number => Math.ceil(n / to) * to;

class Worker {
  private readonly m: Memory;
  private readonly team: Team;
  private readonly x: Record<string, (...a: number[]) => number> & { [name: string]: unknown };
  private readonly writers = new Map<number, StateWriter>();
  private readonly states: Made[] = [];
  private heap: number;
  private starting = false;
  response = new Uint8Array(); // to the call that started the module
  private readonly port: Port | undefined;
  private readonly gas: WebAssembly.Global | undefined;
  private granted = 0n;
  private deadline = Infinity;

  constructor(private readonly o: Open) {
    const pages = ARENA_BYTES / L.WINDOW, memory = o.memory ?? new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.m = new Memory(memory.buffer);
    this.team = o.team ? new Team(o.team) : Team.make(false);
    this.heap = o.heap.at;
    this.port = o.port && openPort(o.port);
    const instance = new WebAssembly.Instance(o.module, {
      env: { memory }, inos: this.imports(), ...(o.metered ? { [o.metered.importModule]: { slice: (left: bigint, reason: number) => this.slice(left, reason) } } : {}),
    });
    this.x = instance.exports as typeof this.x;
    this.gas = o.metered && (instance.exports[o.metered.gas] as WebAssembly.Global);
    const plan = this.divide();
    (instance.exports.__stack_pointer as WebAssembly.Global).value = plan.stack;
    if (this.constant('__tls_size') > 0) this.metered(() => this.x.__wasm_init_tls?.(plan.tls));
    if (o.index > 0) return;
    this.metered(() => this.x.inos_region!(plan.start, o.placeEnd));
    this.metered(() => this.x._initialize?.());
  }

  /** metered makes one call of metered code, which is stopped when it takes too long. */
  private metered<T>(call: () => T): T {
    if (!this.gas) return call();
    this.deadline = performance.now() + this.o.metered!.stepMS;
    this.grant();
    try {
      return call();
    } finally {
      this.settle(this.gas.value as bigint);
      this.gas.value = 0n;
    }
  }

  private grant(): void {
    this.granted = BigInt(this.o.metered!.slice);
    if (this.gas) this.gas.value = this.granted;
  }

  private settle(left: bigint): void {
    this.team.spend(this.granted - left);
    this.granted = 0n;
  }

  /** slice serves the import that metered code calls at the end of a slice. */
  private slice(left: bigint, reason: number): bigint {
    const rules = this.o.metered!;
    if (this.gas) this.settle(left);
    if (reason === rules.reasonStack) throw new Stop('TooDeep');
    if (reason === rules.reasonTable) throw new Stop('TableFull');
    if (this.team.wanted() === Wanted.end) throw new Stop('Stopping');
    if (performance.now() > this.deadline) throw new Stop('OverTime');
    this.grant();
    return BigInt(rules.slice);
  }

  private constant(name: string): number { return Number((this.x[name] as unknown as WebAssembly.Global | undefined)?.value ?? 0) >>> 0; }

  /** divide gives each worker a stack and a thread-local block, and the module's allocator the rest of its place. */
  private divide(): { stack: number; tls: number; start: number } {
    const high = this.constant('__stack_high'), size = up(high - this.constant('__stack_low'), 16);
    let at = up(this.constant('__heap_base'), 16), stack = high, tls = 0;
    for (let i = 0; i < this.o.workers; i++) {
      if (i > 0) at += size;
      const top = i === 0 ? high : at;
      at = up(at, Math.max(this.constant('__tls_align'), 16));
      if (i === this.o.index) [stack, tls] = [top, at];
      at = up(at + this.constant('__tls_size'), 16);
    }
    return { stack, tls, start: at };
  }

  private text(pointer: number, length: number): string { return new TextDecoder().decode(this.m.bytes.slice(pointer >>> 0, (pointer >>> 0) + (length >>> 0))); }

  private imports(): WebAssembly.ModuleImports {
    return {
      log: (level: number, pointer: number, length: number) => say({ t: 'log', level: level >>> 0, line: this.text(pointer, Math.min(length >>> 0, 4096)) }),
      state: (pointer: number, length: number, most: number) => {
        const at = this.port ? this.ask(this.text(pointer, length), most >>> 0) : this.alloc(stateBytes(most >>> 0));
        if (at === 0) return 0;
        this.m.bytes.fill(0, at, at + stateBytes(most >>> 0));
        this.writers.set(at, StateWriter.format(this.m, at, most >>> 0));
        this.states.push({ name: this.text(pointer, length), at });
        return at;
      },
      reserve: (bytes: number) => (this.port ? this.ask('', bytes >>> 0) : this.alloc(bytes >>> 0)),
      advance: (at: number) => {
        this.team.stamp();
        this.writers.get(at >>> 0)?.publish();
      },
    };
  }

  /** ask waits for the kernel to say where memory is; 0 when there is none. Plain memory is zeroed here. */
  private ask(state: string, bytes: number): number {
    if (!this.starting || !this.port?.receiveSync) return 0;
    say({ t: 'ask', state, bytes });
    for (;;) {
      const m = this.port.receiveSync(60_000);
      if (!m) continue; // the kernel ends the threads of a start that takes too long
      const at = new DataView(m.buffer, m.byteOffset, 4).getUint32(0, true);
      if (at !== 0 && state === '') this.m.bytes.fill(0, at, at + bytes);
      return at;
    }
  }

  /** alloc takes zeroed memory of the heap; 0 when there is none, or when the module has started already. */
  private alloc(bytes: number): number {
    const at = this.heap, end = at + up(bytes, PAGE);
    if (!this.starting || end > this.o.heap.end) return 0;
    this.heap = end;
    this.m.bytes.fill(0, at, end);
    return at;
  }

  /** start calls the method that starts the module. */
  start(request: Uint8Array): Made[] {
    this.starting = true;
    const at = this.metered(() => this.x.inos_alloc!(request.length)) >>> 0;
    this.m.bytes.set(request, at);
    const answer = BigInt.asUintN(64, this.metered(() => (this.x.inos_call as unknown as (p: number, n: number) => bigint)(at | 0, request.length)));
    this.starting = false;
    this.response = this.m.bytes.slice(Number(answer >> 32n), Number(answer >> 32n) + Number(answer & 0xffffn));
    if (this.states.length === 0 && !this.port) throw new Error('the module made no state: it did not like its parameters, or the arena is full');
    return this.states;
  }

  /** step makes this worker's part of one step. */
  private step(): void {
    if (this.metered(() => this.x.inos_step!(this.o.index, this.o.workers)) !== 0) throw new Error('the module failed in a step');
  }

  /** lead makes steps until the team is to rest. */
  lead(): void {
    while (this.team.wanted() === Wanted.run) {
      const began = performance.now();
      this.team.call();
      this.step();
      this.team.stepped(performance.now() - began);
      this.team.sleep(began);
    }
  }

  /** follow takes part in every step until the end. */
  follow(seen: number): void {
    for (;;) {
      seen = this.team.await(seen);
      if (this.team.wanted() === Wanted.end) return;
      this.step();
    }
  }

  /** copied makes one step and returns a copy of the first state. */
  copied(): FromResident {
    const began = performance.now();
    this.team.call();
    this.step();
    const ms = performance.now() - began, w = this.writers.values().next().value as StateWriter, v = w.version();
    this.team.stepped(ms);
    return { t: 'copy', numbers: w.shown().slice(), version: v, ms, sent: performance.timeOrigin + performance.now() };
  }

  turn(): number { return this.team.turn(); }

  /** end is the team's wish that everybody ends, which stops metered code in the middle of a step. */
  ending(): boolean { return this.team.wanted() === Wanted.end && !this.team.failed(); }
  fail(): void { this.team.fail(); }
}

let worker: Worker | undefined;
const say = (m: FromResident, transfer: Transferable[] = []): void => (globalThis as unknown as { postMessage(m: FromResident, t: Transferable[]): void }).postMessage(m, transfer);

function serve(m: ToResident): void {
  switch (m.t) {
    case 'open': {
      worker = new Worker(m);
      const seen = worker.turn();
      say({ t: 'opened' });
      if (m.index > 0) worker.follow(seen);
      break;
    }
    case 'start': {
      const states = worker!.start(m.request);
      say({ t: 'started', states, response: worker!.response });
      break;
    }
    case 'run':
      worker!.lead();
      say({ t: 'rested' });
      break;
    case 'step': say(worker!.copied()); break; // a copy, as anybody would send it
  }
}

globalThis.onmessage = (e: MessageEvent<ToResident>): void => {
  try {
    serve(e.data);
  } catch (err) {
    const why = reasonOf(err, 0), last = worker?.ending() === true;
    worker?.fail();
    say({ t: 'failed', code: last ? 'Stopping' : why.code, text: why.text });
  }
};
