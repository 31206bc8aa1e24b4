// Streams between two tabs. WebRTC's data channels deliver whatever comes, however slow the reader, and libp2p
// resets a stream of which 4 MiB wait; so the two workers give each other credit, as each does with its kernel.
// A stream is a sequence of pieces, each a NetPiece record and, for data, the bytes.
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';
import type { Wire } from './stream.ts';

/** TAB_PREFIX begins the names of protocols that are spoken in pieces. */
export const TAB_PREFIX = '/inos/tab/1';

/** piece makes the record of one piece. */
function piece(kind: number, value: number): Uint8Array {
  const b = new Uint8Array(L.NET_PIECE_SIZE), v = new DataView(b.buffer);
  v.setUint8(L.NET_PIECE_AT_KIND, kind);
  v.setUint32(L.NET_PIECE_AT_VALUE, value, true);
  return b;
}

/** credited wraps a wire whose transport cannot make a sender wait. */
export const credited = (inner: Wire): Wire => new Credited(inner);

class Credited implements Wire {
  ondata: (b: Uint8Array) => void = () => undefined;
  onend: () => void = () => undefined;
  onlost: () => void = () => undefined;

  private readonly head = new Uint8Array(L.NET_PIECE_SIZE); // of the piece that arrives
  private have = 0;                    // bytes of head
  private left = 0;                    // bytes of the piece's data that are still to come
  private open_ = L.NET_TAB_WINDOW;    // bytes that the peer may send
  private owed = 0;                    // delivered, and not yet given back
  private paused = false;
  private credit = L.NET_TAB_WINDOW;   // bytes that may be sent
  private readonly waiting: { bytes: Uint8Array; done: () => void; fail: (e: Error) => void }[] = []; // bounded by what the kernel may send
  private closed = false;              // this direction: the peer hears no more, of credit neither
  private over = false;

  constructor(private readonly inner: Wire) {
    inner.ondata = (b) => this.arrived(b);
    inner.onend = () => { if (this.have > 0 || this.left > 0) this.broken(); else this.onend(); };
    inner.onlost = () => this.lost();
  }

  open(): void { this.inner.open(); }

  pause(): void { this.paused = true; }

  resume(): void {
    this.paused = false;
    this.giveBack();
  }

  send(b: Uint8Array): Promise<void> | undefined {
    if (this.over) throw new Error('the stream is over');
    if (this.waiting.length === 0 && b.length <= this.credit) return this.put(b);
    return new Promise((done, fail) => {
      this.waiting.push({ bytes: b, done, fail });
      this.flush();
    });
  }

  async close(): Promise<void> {
    while (this.waiting.length > 0) {
      await new Promise<void>((done, fail) => this.waiting.push({ bytes: new Uint8Array(0), done, fail }));
    }
    this.closed = true;
    await this.inner.close();
  }

  abort(why: Error): void {
    this.end();
    this.inner.abort(why);
  }

  /** put sends a piece of data, within the credit; resolves when it may be sent more. */
  private put(b: Uint8Array): Promise<void> | undefined {
    this.credit -= b.length;
    void this.emit(piece(L.NET_DATA, b.length));
    return this.over ? undefined : this.emit(b);
  }

  /** emit hands bytes to the transport. One that takes no more has lost the stream; nothing is thrown, and nothing rejects. */
  private emit(b: Uint8Array): Promise<void> | undefined {
    try {
      return this.inner.send(b)?.catch(() => this.lost());
    } catch {
      this.lost();
      return undefined;
    }
  }

  /** flush sends what waits, as far as the credit goes. */
  private flush(): void {
    for (let w = this.waiting[0]; w && !this.over; w = this.waiting[0]) {
      if (w.bytes.length > this.credit) {
        if (this.credit === 0) return;
        const part = w.bytes.subarray(0, this.credit);
        w.bytes = w.bytes.subarray(this.credit);
        void this.put(part);
        return;
      }
      this.waiting.shift();
      const sent = w.bytes.length > 0 ? this.put(w.bytes) : undefined;
      if (sent) void sent.then(w.done); else w.done();
    }
  }

  private arrived(b: Uint8Array): void {
    while (b.length > 0 && !this.over) {
      if (this.left > 0) {
        const data = b.subarray(0, this.left);
        b = b.subarray(data.length);
        this.left -= data.length;
        this.owed += data.length;
        this.ondata(data);
        this.giveBack();
        continue;
      }
      const n = Math.min(b.length, this.head.length - this.have);
      this.head.set(b.subarray(0, n), this.have);
      this.have += n;
      b = b.subarray(n);
      if (this.have === this.head.length) {
        this.have = 0;
        this.begin();
      }
    }
  }

  /** begin acts on the record of a piece. */
  private begin(): void {
    const v = new DataView(this.head.buffer), kind = v.getUint8(L.NET_PIECE_AT_KIND), value = v.getUint32(L.NET_PIECE_AT_VALUE, true);
    if (kind === L.NET_DATA && value > 0 && value <= this.open_) {
      this.open_ -= value;
      this.left = value;
    } else if (kind === L.NET_CREDIT && value > 0 && value <= L.NET_TAB_WINDOW - this.credit) {
      this.credit += value;
      this.flush();
    } else {
      this.broken();
    }
  }

  private giveBack(): void {
    if (this.paused || this.over || this.closed || this.owed < L.NET_TAB_WINDOW / 4) return;
    this.open_ += this.owed;
    void this.emit(piece(L.NET_CREDIT, this.owed));
    this.owed = 0;
  }

  private broken(): void {
    this.abort(new Error('the other tab does not speak this protocol'));
    this.onlost();
  }

  private lost(): void {
    if (this.over) return;
    this.end();
    this.onlost();
  }

  private end(): void {
    this.over = true;
    for (const w of this.waiting.splice(0)) w.fail(new Error('the stream is over'));
  }
}
