// Calls of the tab's node over a wire of frames: the protocol of server/tab, whose comment describes it.
import { Problem } from '../lib/api.ts';

/** Kinds of frame. */
export const K = { call: 1, body: 2, bodyEnd: 3, cancel: 4, taken: 5, result: 6, failure: 7, item: 8, output: 9, bodyTaken: 10 } as const;

/** WINDOW bounds the bytes of one call under way in one direction; PIECE those of one frame. */
export const WINDOW = 4 << 20;
export const PIECE = 256 << 10;

/** Wire carries frames to and from the kernel. */
export interface Wire {
  /** send resolves when the frame is on its way; it copies what it is given. */
  send(frame: Uint8Array): Promise<void>;
  onframe: (frame: Uint8Array) => void; // valid until it returns
  onclose: (why: string) => void;
}

/** CallOptions are what a call carries beside its arguments. */
export interface CallOptions {
  body?: Blob | ReadableStream<Uint8Array>;
  item?: (value: unknown) => void;
  /** output takes bytes of the answer; the next come when it has resolved. */
  output?: (bytes: Uint8Array) => void | Promise<void>;
  signal?: AbortSignal;
}

const text = new TextEncoder();
const words = new TextDecoder();

/** frame joins a kind, a call's number and a payload. */
export function frame(kind: number, id: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const f = new Uint8Array(5 + payload.length);
  f[0] = kind;
  new DataView(f.buffer).setUint32(1, id, true);
  f.set(payload, 5);
  return f;
}

const u32 = (n: number): Uint8Array => { const b = new Uint8Array(4); new DataView(b.buffer).setUint32(0, n, true); return b; };
const json = (b: Uint8Array): unknown => JSON.parse(words.decode(b.slice())); // a decoder takes no view of shared memory

interface Open {
  options: CallOptions;
  done: (v: unknown) => void;
  fail: (e: Error) => void;
  credit: number;              // body bytes that may be sent
  wake: (() => void) | undefined;
  output: Promise<void>;       // what output is still busy with
}

/** Calls makes calls over one wire. */
export class Calls {
  private readonly open = new Map<number, Open>(); // the kernel refuses more than it runs
  private last = 0;
  private closed = '';

  constructor(private readonly wire: Wire) {
    wire.onframe = (f) => this.arrived(f);
    wire.onclose = (why) => this.close(why);
  }

  /** call makes one call and resolves with its result. Errors are Problems. */
  call<T>(method: string, args?: unknown, options: CallOptions = {}): Promise<T> {
    if (this.closed) return Promise.reject(new Problem(this.closed, 'unavailable', 0));
    if (options.signal?.aborted) return Promise.reject(new Problem('canceled', 'canceled', 0));
    const id = this.last = (this.last + 1) >>> 0;
    return new Promise<unknown>((done, fail) => {
      const one: Open = { options, done, fail, credit: WINDOW, wake: undefined, output: Promise.resolve() };
      this.open.set(id, one);
      options.signal?.addEventListener('abort', () => { if (this.open.has(id)) void this.wire.send(frame(K.cancel, id)); }, { once: true });
      this.wire.send(frame(K.call, id, text.encode(JSON.stringify({ method, args: args ?? null }))))
        .then(() => options.body ? this.sendBody(id, one, options.body) : undefined)
        .catch((e: unknown) => this.broken(id, e));
    }) as Promise<T>;
  }

  private broken(id: number, e: unknown): void {
    const one = this.take(id);
    if (!one) return;
    one.fail(e instanceof Error ? e : new Error(String(e)));
    void this.wire.send(frame(K.cancel, id)).catch(() => undefined);
  }

  private take(id: number): Open | undefined {
    const one = this.open.get(id);
    this.open.delete(id);
    one?.wake?.();
    return one;
  }

  private async sendBody(id: number, one: Open, body: Blob | ReadableStream<Uint8Array>): Promise<void> {
    const reader = (body instanceof Blob ? body.stream() : body).getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        for (let at = 0; at < value.length;) {
          while (one.credit === 0 && this.open.has(id)) await new Promise<void>((ok) => { one.wake = ok; });
          if (!this.open.has(id)) return;
          const n = Math.min(PIECE, value.length - at, one.credit);
          one.credit -= n;
          await this.wire.send(frame(K.body, id, value.subarray(at, at + n)));
          at += n;
        }
      }
      await this.wire.send(frame(K.bodyEnd, id));
    } finally {
      void reader.cancel().catch(() => undefined);
    }
  }

  private arrived(f: Uint8Array): void {
    const id = new DataView(f.buffer, f.byteOffset).getUint32(1, true), payload = f.subarray(5);
    const one = this.open.get(id);
    if (!one) return;
    switch (f[0]) {
      case K.item:
        try {
          one.options.item?.(json(payload));
        } catch (e) {
          this.broken(id, e); // what a caller does with an item ends its call, not the wire
        }
        break;
      case K.output: this.output(id, one, payload.slice()); break;
      case K.bodyTaken:
        one.credit += new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
        one.wake?.();
        break;
      case K.result: {
        const value = json(payload);
        void one.output.then(() => this.take(id)?.done(value));
        break;
      }
      case K.failure: {
        const { kind, message } = json(payload) as { kind: string; message: string };
        this.take(id)?.fail(new Problem(message, kind, 0));
      }
    }
  }

  private output(id: number, one: Open, bytes: Uint8Array): void {
    one.output = one.output.then(async () => {
      await one.options.output?.(bytes);
      if (this.open.has(id)) await this.wire.send(frame(K.taken, id, u32(bytes.length)));
    }).catch((e: unknown) => this.broken(id, e));
  }

  /** close fails every call. */
  close(why: string): void {
    this.closed = why;
    for (const id of [...this.open.keys()]) this.take(id)?.fail(new Problem(why, 'unavailable', 0));
  }
}
