// Ports connect the threads of a tab: bounded, ordered channels of whole messages. Over shared memory a
// port is two rings of the arena; without it, a MessagePort that carries copies and a count of what may be
// under way. Both behave alike, so nobody else asks which it is.
import { Memory } from './memory.ts';
import { Broken, RingReader, RingWriter, closeRing, formatRing, type Ring } from './ring.ts';

/** MAX_MESSAGE bounds one message: a block with room for what is said about it. */
export const MAX_MESSAGE = (1 << 20) + (64 << 10);

/** PORT_RING is the data of one direction of a port; two messages always fit. */
export const PORT_RING = 4 << 20;

/** BATCH is how many messages are handed out before other work of the thread gets its turn. */
const BATCH = 64;

/** SHORT_MS is how long a port waits for memory before it is tried again. */
const SHORT_MS = 100;

/** MOST_SHORT is how often in a row that is done before the port ends. */
const MOST_SHORT = 100;

/** Port is one end of a channel to another thread of the tab. */
export interface Port {
  /** Queues one message made of the parts; false when there is no room now: await writable(). */
  send(...parts: Uint8Array[]): boolean;
  /** Resolves when a send may succeed; rejects once the port is closed. */
  writable(): Promise<void>;
  /** Takes the next message into a buffer of MAX_MESSAGE bytes and returns its length; 0 when none is there. */
  take(into: Uint8Array): number;
  /** Resolves when take may succeed; rejects once the port is closed. */
  readable(): Promise<void>;
  /** Called with every message, in order; the view is valid until it returns. Setting it starts delivery; take is then not used. */
  onmessage: ((m: Uint8Array) => void) | undefined;
  /** Called once when either side closed the port, or the other broke it. */
  onclose: ((why?: Error) => void) | undefined;
  /** Blocks for the next message, only where memory is shared and the thread may stop; undefined after timeoutMs. Valid until the next call. */
  receiveSync?(timeoutMs: number): Uint8Array | undefined;
  /** Ends the port for both sides; what the other has not taken yet may be lost. */
  close(): void;
}

/** PortEnd is what a thread is sent to open its end: rings of the arena, or a MessagePort to transfer. */
export type PortEnd = { kind: 'rings'; memory: SharedArrayBuffer; out: Ring; in: Ring } | { kind: 'copies'; port: MessagePort };

/** openPort opens an end that pairRings or pairCopies made. */
export const openPort = (end: PortEnd): Port => end.kind === 'rings' ? new RingPort(end.memory, end.out, end.in) : new CopyPort(end.port);

/** transfers lists what must be transferred with an end. */
export const transfers = (end: PortEnd): Transferable[] => end.kind === 'copies' ? [end.port] : [];

/** pairRings makes a channel of two formatted rings and returns its two ends. */
export function pairRings(memory: SharedArrayBuffer, one: Ring, other: Ring): [PortEnd, PortEnd] {
  const m = new Memory(memory);
  formatRing(m, one);
  formatRing(m, other);
  return [{ kind: 'rings', memory, out: one, in: other }, { kind: 'rings', memory, out: other, in: one }];
}

/** pairCopies makes a channel that copies. */
export function pairCopies(): [PortEnd, PortEnd] {
  const c = new MessageChannel();
  return [{ kind: 'copies', port: c.port1 }, { kind: 'copies', port: c.port2 }];
}

/** Delivering is what both kinds share: handing out messages in turns, and ending once. */
abstract class Delivering implements Port {
  onclose: ((why?: Error) => void) | undefined;
  protected closed: Error | undefined;
  private handler: ((m: Uint8Array) => void) | undefined;
  private stage: Uint8Array | undefined;
  private running = false;

  abstract send(...parts: Uint8Array[]): boolean;
  abstract writable(): Promise<void>;
  abstract take(into: Uint8Array): number;
  abstract readable(): Promise<void>;
  protected abstract release(): void;

  get onmessage(): ((m: Uint8Array) => void) | undefined { return this.handler; }
  set onmessage(fn: ((m: Uint8Array) => void) | undefined) {
    this.handler = fn;
    if (fn && !this.running) void this.deliver();
  }

  close(): void { this.end(undefined); }

  /** end closes this end and says why to whoever wants to know. */
  protected end(why: Error | undefined): void {
    if (this.closed) return;
    this.closed = why ?? new Error('the port is closed');
    this.release();
    this.onclose?.(why);
  }

  /** buffer is where a message lies until its handler returns. */
  protected buffer(): Uint8Array { return (this.stage ??= new Uint8Array(MAX_MESSAGE)); }

  private async deliver(): Promise<void> {
    this.running = true;
    try {
      const stage = this.buffer();
      while (this.handler && !this.closed) {
        await this.readable();
        for (let i = 0; i < BATCH && this.handler; i++) {
          const n = this.take(stage);
          if (n === 0) break;
          this.handler(stage.subarray(0, n));
        }
        await turn();
      }
    } catch (e) {
      if (!this.closed) this.end(e instanceof Error ? e : new Error(String(e)));
    } finally {
      this.running = false;
    }
  }
}

// turn lets the thread's other tasks run; a resolved promise would not.
const gate = new MessageChannel();
const gated: (() => void)[] = [];
gate.port1.onmessage = () => gated.shift()?.();
// Under Node, whose tests import this file, an open port would keep the process.
(gate.port1 as unknown as { unref?(): void }).unref?.();
const turn = (): Promise<void> => new Promise((ok) => { gated.push(ok); gate.port2.postMessage(0); });

class RingPort extends Delivering {
  private readonly out: RingWriter;
  private readonly in: RingReader;

  constructor(memory: SharedArrayBuffer, out: Ring, incoming: Ring) {
    super();
    const m = new Memory(memory);
    this.out = new RingWriter(m, out);
    this.in = new RingReader(m, incoming);
  }

  send(...parts: Uint8Array[]): boolean {
    if (this.closed) throw this.closed;
    return this.out.trySend(parts);
  }

  async writable(): Promise<void> {
    while (!this.closed && !this.out.room(MAX_MESSAGE)) await this.out.freed(MAX_MESSAGE);
    if (this.closed) throw this.closed;
  }

  take(into: Uint8Array): number {
    if (this.closed) throw this.closed;
    return this.in.tryReceive(into);
  }

  async readable(): Promise<void> {
    while (!this.closed && !this.in.waiting()) await this.in.filled();
    if (this.closed) throw this.closed;
  }

  receiveSync(timeoutMs: number): Uint8Array | undefined {
    const end = performance.now() + timeoutMs;
    const stage = this.buffer();
    for (;;) {
      const n = this.take(stage);
      if (n > 0) return stage.subarray(0, n);
      const left = end - performance.now();
      if (left <= 0) return undefined;
      this.in.blockFilled(left);
    }
  }

  protected release(): void {
    closeRing(this.in.m, this.in.ring);
    closeRing(this.out.m, this.out.ring);
  }
}

/** CopyPort bounds what is under way by counting: each side tells the other how much it has taken. */
class CopyPort extends Delivering {
  private readonly queue: Uint8Array[] = []; // bounded by PORT_RING through `sent`
  private under = 0;                         // bytes sent and not yet taken by the other side
  private waitRead: (() => void)[] = [];
  private waitWrite: (() => void)[] = [];
  private short = false;                     // there was no memory for a copy
  private shortages = 0;                     // in a row

  constructor(private readonly port: MessagePort) {
    super();
    port.onmessage = (e: MessageEvent<Uint8Array | number | null>) => this.arrived(e.data);
    port.start();
  }

  private arrived(what: Uint8Array | number | null): void {
    if (what === null) { this.end(undefined); return; }
    if (typeof what === 'number') {
      this.under -= what;
      for (const ok of this.waitWrite.splice(0)) ok();
      return;
    }
    if (what.length === 0 || what.length > MAX_MESSAGE) { this.end(new Broken('a message has an impossible length')); return; }
    this.queue.push(what);
    for (const ok of this.waitRead.splice(0)) ok();
  }

  send(...parts: Uint8Array[]): boolean {
    if (this.closed) throw this.closed;
    let n = 0;
    for (const p of parts) n += p.length;
    if (n === 0 || n > MAX_MESSAGE) throw new RangeError(`a message has 1 to ${MAX_MESSAGE} bytes, this one ${n}`);
    if (this.under + n > PORT_RING) return false;
    try {
      const copy = new Uint8Array(n);
      let at = 0;
      for (const p of parts) { copy.set(p, at); at += p.length; }
      this.port.postMessage(copy, [copy.buffer]);
    } catch (e) {
      if (e instanceof TypeError) throw e; // a mistake of ours
      this.short = true; // no memory is no room: a later send may find some
      if (++this.shortages < MOST_SHORT) return false;
      this.end(new Error(`there is no memory for a message: ${e instanceof Error ? e.message : String(e)}`));
      throw this.closed!;
    }
    this.shortages = 0;
    this.under += n;
    return true;
  }

  async writable(): Promise<void> {
    if (this.short) await new Promise((ok) => setTimeout(ok, SHORT_MS));
    this.short = false;
    while (!this.closed && this.under + MAX_MESSAGE > PORT_RING) await new Promise<void>((ok) => this.waitWrite.push(ok));
    if (this.closed) throw this.closed;
  }

  take(into: Uint8Array): number {
    if (this.closed) throw this.closed;
    const m = this.queue.shift();
    if (!m) return 0;
    into.set(m);
    this.port.postMessage(m.length);
    return m.length;
  }

  async readable(): Promise<void> {
    while (!this.closed && this.queue.length === 0) await new Promise<void>((ok) => this.waitRead.push(ok));
    if (this.closed) throw this.closed;
  }

  protected release(): void {
    for (const ok of this.waitRead.splice(0)) ok();
    for (const ok of this.waitWrite.splice(0)) ok();
    this.port.postMessage(null);
    this.port.close();
  }
}
