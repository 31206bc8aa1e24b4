// Streams over WebRTC-direct. Nothing makes a native node wait there, so what the kernel does not take yet lies
// here, within a budget that the streams of a connection share.
import type { Wire } from './stream.ts';

/** Bounds of what waits, in bytes; a stream that exceeds one is reset. */
export const DIRECT_STREAM = 16 << 20;
export const DIRECT_CONNECTION = 32 << 20;

/** Budget counts what waits in the streams of one connection. */
export class Budget {
  private held = 0; // at most DIRECT_CONNECTION

  /** take reserves room for n bytes, all or none. */
  take(n: number): boolean {
    if (this.held + n > DIRECT_CONNECTION) return false;
    this.held += n;
    return true;
  }

  give(n: number): void { this.held -= n; }
}

/** budgeted wraps a wire whose transport cannot make a sender wait, and whose peer heeds no credit. */
export const budgeted = (inner: Wire, budget: Budget): Wire => new Budgeted(inner, budget);

class Budgeted implements Wire {
  ondata: (b: Uint8Array) => void = () => undefined;
  onend: () => void = () => undefined;
  onlost: () => void = () => undefined;

  private readonly held: Uint8Array[] = [];
  private size = 0;       // bytes of held, at most DIRECT_STREAM
  private paused = false;
  private ended = false;  // by the peer, behind what is held
  private over = false;

  constructor(private readonly inner: Wire, private readonly budget: Budget) {
    inner.ondata = (b) => this.arrived(b);
    inner.onend = () => { this.ended = true; this.deliver(); };
    inner.onlost = () => this.lost();
  }

  open(): void { this.inner.open(); }

  pause(): void { this.paused = true; }

  resume(): void {
    this.paused = false;
    this.deliver();
  }

  send(b: Uint8Array): Promise<void> | undefined { return this.inner.send(b); }

  close(): Promise<void> { return this.inner.close(); }

  abort(why: Error): void {
    this.end();
    this.inner.abort(why);
  }

  private arrived(b: Uint8Array): void {
    if (this.over) return;
    if (!this.paused) { this.ondata(b); return; }
    if (this.size + b.length > DIRECT_STREAM || !this.budget.take(b.length)) {
      this.inner.abort(new Error('more bytes wait than the connection may hold'));
      this.lost();
      return;
    }
    this.size += b.length;
    this.held.push(b);
  }

  /** deliver hands over what is held, as far as it is wanted, and then the end. */
  private deliver(): void {
    while (!this.paused && !this.over) {
      const b = this.held.shift();
      if (!b) break;
      this.size -= b.length;
      this.budget.give(b.length);
      this.ondata(b);
    }
    if (this.ended && !this.over && this.held.length === 0) {
      this.ended = false;
      this.onend();
    }
  }

  private lost(): void {
    if (this.over) return;
    this.end();
    this.onlost();
  }

  private end(): void {
    this.over = true;
    this.budget.give(this.size);
    this.size = this.held.length = 0;
  }
}
