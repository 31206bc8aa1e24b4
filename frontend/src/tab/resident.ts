// A resident module in a tab: several workers over one arena, for pages whose tab is no node. A node's residents are
// started by its kernel.
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { ARENA_BYTES, Memory, shared } from '../bridge/memory.ts';
import { StateReader } from '../bridge/state.ts';
import { Team, Wanted } from '../bridge/team.ts';
import type { PortEnd } from '../bridge/port.ts';
import type { FromResident, Made, Metered, ToResident } from './resident.worker.ts';

/** MAX_WORKERS bounds the workers of a resident, as natively. */
export const MAX_WORKERS = 8;

/** Copy is one step's state as a worker posted it. */
export type Copy = Extract<FromResident, { t: 'copy' }>;

/** ResidentOptions says what to start. The rest is for the kernel, which has an arena already and meters. */
export interface ResidentOptions {
  module: WebAssembly.Module; request: Uint8Array; workers: number;
  onFailure: (text: string, code: string) => void;
  onMade?: (r: Resident) => void; // before it has started
  make?: (index: number) => Worker;
  memory?: WebAssembly.Memory;
  placeEnd?: number;
  metered?: Metered;
  port?: PortEnd; // the first worker's
  onMessage?: (m: Extract<FromResident, { t: 'log' | 'ask' }>) => void;
}

/** Resident is a module that runs, once start has resolved. */
export class Resident {
  /** reader reads the first state where memory is shared; the worker's copies are all there is where it is not. */
  reader: StateReader | undefined;
  private readonly threads: Worker[] = [];
  private copy: ((c: Copy) => void) | undefined;
  private resting: { done: Promise<void>; ok: () => void } | undefined; // one for all who wait
  private running = false;
  private over = false;

  /** response is what the module answered when it was started. */
  response = new Uint8Array();

  private constructor(readonly workers: number, readonly team: Team, private readonly o: ResidentOptions) {}

  /** start makes the arena and the workers, and resolves when the first state is made. */
  static async start(o: ResidentOptions): Promise<Resident> {
    const workers = shared() ? Math.min(Math.max(1, o.workers), MAX_WORKERS) : 1;
    const r = new Resident(workers, Team.make(shared()), o);
    o.onMade?.(r);
    try {
      await r.open(o);
    } catch (e) {
      r.end();
      throw e;
    }
    return r;
  }

  private async open(o: ResidentOptions): Promise<void> {
    // Without isolation the memory stays in its only worker, which makes it.
    const pages = ARENA_BYTES / L.WINDOW, isolated = shared();
    const memory = o.memory ?? (isolated ? new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }) : undefined);
    const heap = { at: L.HEAP_OFFSET + L.WINDOW, end: ARENA_BYTES };
    await Promise.all(Array.from({ length: this.workers }, (_, index) => this.ask(index, {
      t: 'open', memory, module: o.module, team: isolated ? (this.team.buffer as SharedArrayBuffer) : undefined,
      index, workers: this.workers, placeEnd: o.placeEnd ?? L.RESIDENTS_OFFSET + L.RESIDENTS_STRIDE, heap,
      metered: o.metered, port: index === 0 ? o.port : undefined,
    }, 'opened')));
    const { states, response } = await this.ask(0, { t: 'start', request: o.request }, 'started') as { states: Made[]; response: Uint8Array<ArrayBuffer> };
    this.response = response;
    if (memory && states.length > 0) this.reader = new StateReader(new Memory(memory.buffer), states[0]!.at);
  }

  /** thread returns a worker, which listens from now on. */
  private thread(index: number): Worker {
    const make = this.o.make ?? ((i: number) => new Worker(new URL('./resident.worker.ts', import.meta.url), { type: 'module', name: `inos-resident-${i}` }));
    return (this.threads[index] ??= make(index));
  }

  /** ask sends a message and resolves with the answer to it. */
  private ask(index: number, m: ToResident, answer: FromResident['t']): Promise<FromResident> {
    const t = this.thread(index);
    return new Promise((ok, bad) => {
      t.onmessage = (e: MessageEvent<FromResident>) => {
        if (e.data.t === 'failed') bad(Object.assign(new Error(e.data.text), { code: e.data.code }));
        else if (e.data.t === 'log' || e.data.t === 'ask') this.o.onMessage?.(e.data);
        else if (e.data.t === answer) { t.onmessage = (later: MessageEvent<FromResident>) => this.hear(later.data); ok(e.data); }
      };
      t.onerror = (e) => { bad(new Error(e.message || 'the worker could not start')); this.fail(e.message); };
      t.postMessage(m);
    });
  }

  private hear(m: FromResident): void {
    switch (m.t) {
      case 'copy': this.copy?.(m); break;
      case 'rested': this.running = false; this.wake(); break;
      case 'failed': this.fail(m.text, m.code); break;
      case 'log':
      case 'ask': this.o.onMessage?.(m); break;
    }
  }

  /** fail ends the resident. Without another code it is the tab that failed, not the module. */
  private fail(text: string, code = 'tab'): void {
    if (this.over) return;
    this.end();
    this.o.onFailure(text || 'a worker of the module failed', code);
  }

  /** run makes steps at most so often a second, until rest. Only where memory is shared. */
  run(rate: number): void {
    this.team.pace(rate > 0 ? Math.round(1e6 / rate) : 0);
    this.team.want(Wanted.run);
    if (this.running) return;
    this.running = true;
    this.threads[0]?.postMessage({ t: 'run' } satisfies ToResident);
  }

  /** rest stops making steps, and resolves when the workers have. */
  async rest(): Promise<void> {
    this.copy = undefined;
    if (!this.running) return;
    if (!this.resting) {
      let ok: () => void = () => undefined;
      this.resting = { done: new Promise<void>((fn) => { ok = fn; }), ok };
      this.team.want(Wanted.rest);
    }
    await this.resting.done;
  }

  private wake(): void {
    this.resting?.ok();
    this.resting = undefined;
  }

  /** step asks for one step and a copy of what it shows. */
  step(fn: (c: Copy) => void): void {
    this.copy = fn;
    this.threads[0]?.postMessage({ t: 'step' } satisfies ToResident);
  }

  /** end ends the workers. */
  end(): void {
    this.over = true;
    this.copy = undefined;
    this.team.want(Wanted.end);
    for (const t of this.threads) t.terminate();
    this.wake(); // nobody waits for workers that are gone
  }
}
