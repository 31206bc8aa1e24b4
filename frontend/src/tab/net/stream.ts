// One stream between the kernel and a peer.
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';
import { encodeHead, Invalid, type Frame } from './frame.ts';

/** Wire is a stream of libp2p as far as it is used: js-libp2p's Stream behind wireOf, or a test's. */
export interface Wire {
  /** Called with every piece of what the peer sends, in order; then end, once it sends no more. */
  ondata: (b: Uint8Array) => void;
  onend: () => void;
  /** Called once when the stream is over before both sides ended it. */
  onlost: () => void;
  /** Starts delivery. */
  open(): void;
  /** Makes the peer wait, as far as the transport can, and lets it go on. */
  pause(): void;
  resume(): void;
  /** Sends bytes, which are the wire's from then on; resolves when it may be sent more. */
  send(b: Uint8Array): Promise<void> | undefined;
  /** Ends this direction. */
  close(): Promise<void>;
  /** Ends both at once. */
  abort(why: Error): void;
}

/** Sender is what a stream needs of the link. */
export interface Sender {
  tell(...parts: Uint8Array[]): void;
  data(id: number, bytes: Uint8Array): boolean;
  forget(id: number): void;
}

/** PeerStream moves bytes between the link and one wire. */
export class PeerStream {
  private credit = L.NET_WINDOW;        // bytes that may be sent to the kernel
  private allowed = L.NET_WINDOW;       // bytes that the kernel may send
  private taken = 0;                    // bytes the wire took and the kernel was not told of
  private readonly held: Uint8Array[] = []; // from the peer, waiting for credit or the port; the wire is paused while there are any
  private paused = false;
  private peerEnded = false;
  private toldEnd = false;
  private kernelEnded = false;
  private over = false;

  constructor(private readonly link: Sender, readonly id: number, readonly conn: number, private readonly wire: Wire) {
    wire.ondata = (b) => { if (!this.over) { this.held.push(b); this.again(); } };
    wire.onend = () => { this.peerEnded = true; this.again(); };
    wire.onlost = () => this.lost();
    wire.open();
  }

  /** again sends what waits, as far as it may. */
  again(): void {
    if (this.over) return;
    while (this.held.length > 0 && this.credit > 0) {
      const first = this.held[0] as Uint8Array, n = Math.min(first.length, this.credit, L.NET_MAX_DATA);
      if (!this.link.data(this.id, n === first.length ? first : first.subarray(0, n))) break;
      this.credit -= n;
      if (n === first.length) this.held.shift(); else this.held[0] = first.subarray(n);
    }
    const wait = this.held.length > 0;
    if (wait !== this.paused) {
      this.paused = wait;
      if (wait) this.wire.pause(); else this.wire.resume();
    }
    if (!wait && this.peerEnded && !this.toldEnd && this.held.length === 0) { // resume may have brought more
      this.toldEnd = true;
      this.link.tell(encodeHead(L.NET_END, { id: this.id }));
      this.finish();
    }
  }

  /** take acts on a frame of the kernel. Throws Invalid. */
  take(f: Frame): void {
    if (this.over) return;
    switch (f.kind) {
      case L.NET_DATA: this.write(f.payload); return;
      case L.NET_CREDIT:
        if (f.value > L.NET_WINDOW - this.credit) throw new Invalid('the kernel gives more credit than a window has');
        this.credit += f.value;
        this.again();
        return;
      case L.NET_END:
        this.kernelEnded = true;
        this.wire.close().catch(() => this.lost());
        this.finish();
        return;
      default:
        this.abort();
        this.link.forget(this.id);
    }
  }

  /** abort ends the peer's side; the kernel knows. */
  abort(): void {
    if (this.over) return;
    this.over = true;
    this.held.length = 0;
    this.wire.abort(new Error('the kernel ended the stream'));
  }

  private write(payload: Uint8Array): void {
    if (this.kernelEnded || payload.length > this.allowed) throw new Invalid('the kernel sends beyond the credit or the end of a stream');
    this.allowed -= payload.length;
    let ready: Promise<void> | undefined;
    try {
      ready = this.wire.send(payload.slice()); // the payload is a view of the port's memory
    } catch {
      this.lost();
      return;
    }
    const n = payload.length;
    if (ready) ready.then(() => this.give(n, true), () => this.lost());
    else this.give(n, false);
  }

  /** give tells the kernel of bytes that the wire took, when it was held up or there are many. */
  private give(n: number, now: boolean): void {
    this.taken += n;
    if (this.over || this.kernelEnded || this.taken < (now ? 1 : L.NET_WINDOW / 4)) return;
    this.allowed += this.taken;
    this.link.tell(encodeHead(L.NET_CREDIT, { id: this.id, value: this.taken }));
    this.taken = 0;
  }

  private finish(): void {
    if (!this.toldEnd || !this.kernelEnded || this.over) return;
    this.over = true;
    this.link.forget(this.id);
  }

  private lost(): void {
    if (this.over) return;
    this.over = true;
    this.held.length = 0;
    this.link.tell(encodeHead(L.NET_RESET, { id: this.id }));
    this.link.forget(this.id);
    this.wire.abort(new Error('the stream is over'));
  }
}
