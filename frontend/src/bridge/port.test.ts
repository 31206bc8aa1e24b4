import { describe, expect, it, vi } from 'vitest';
import { Memory } from './memory.ts';
import { MAX_MESSAGE, PORT_RING, openPort, pairCopies, pairRings, type Port, type PortEnd } from './port.ts';
import { Broken, RingReader, RingWriter, closeRing, formatRing, type Ring } from './ring.ts';

const ring = (at: number, capacity: number, maxMessage: number): Ring => ({ control: at, data: at + 512, capacity, maxMessage });

/** numbers is a small seeded generator: the same messages on every run. */
function numbers(seed: number): () => number {
  let x = seed;
  return () => { x = (Math.imul(x, 1664525) + 1013904223) >>> 0; return x >>> 8; };
}

const message = (n: number, seed: number): Uint8Array => {
  const next = numbers(seed + 1);
  return Uint8Array.from({ length: n }, () => next() & 255);
};

describe('a ring', () => {
  const small = ring(0, 1024, 500);
  const fresh = (): Memory => { const m = new Memory(new SharedArrayBuffer(4096)); formatRing(m, small); return m; };

  it('carries whole messages in order, across its end, and never more than fit', () => {
    const m = fresh(), w = new RingWriter(m, small), r = new RingReader(m, small), next = numbers(7), into = new Uint8Array(500);
    const sent: Uint8Array[] = [];
    let sends = 0, refused = 0;
    for (let i = 0; i < 20_000; i++) {
      if (next() & 1) {
        const one = message(1 + next() % 300, i), cut = next() % (one.length + 1);
        if (w.trySend([one.subarray(0, cut), one.subarray(cut)])) { sent.push(one); sends++; } else refused++;
      } else {
        const n = r.tryReceive(into), want = sent.shift();
        expect(n).toBe(want?.length ?? 0);
        if (want) expect(Buffer.from(into.subarray(0, n)).equals(Buffer.from(want))).toBe(true);
      }
    }
    expect(sends).toBeGreaterThan(5000);
    expect(refused).toBeGreaterThan(100);
  });

  it('refuses what the other end cannot have meant', () => {
    const broken = (spoil: (m: Memory) => void): void => {
      const m = fresh(), w = new RingWriter(m, small), r = new RingReader(m, small);
      w.trySend([message(40, 1)]);
      spoil(m);
      expect(() => r.tryReceive(new Uint8Array(500))).toThrow(Broken);
    };
    broken((m) => m.store64(128, (1n << 32n) | 4000n));      // a tail beyond the capacity
    broken((m) => m.store64(128, (2n << 32n) | 48n));        // of another generation
    broken((m) => m.store64(512, (1n << 32n) | 501n));       // a length above the bound
    broken((m) => m.store64(512, 1n << 32n));                // none
    broken((m) => m.store64(512, (1n << 32n) | 400n));       // more than was published
    broken((m) => closeRing(m, small));
    const m = fresh(), w = new RingWriter(m, small);
    while (w.trySend([message(200, 3)]));
    m.store64(256, (1n << 32n) | 900n); // a head beyond the tail
    expect(() => w.trySend([message(200, 3)])).toThrow(Broken);
  });

  it('wakes who sleeps, and loses no wake between the look and the sleep', async () => {
    const m = fresh(), w = new RingWriter(m, small), r = new RingReader(m, small), into = new Uint8Array(500);
    let got = 0;
    const reading = (async () => {
      while (got < 2000) { await r.filled(); while (r.tryReceive(into) > 0) got++; }
    })();
    for (let i = 0; i < 2000; i++) while (!w.trySend([message(100, i)])) await w.freed(100);
    await reading;
    expect(got).toBe(2000);
    expect(m.load32(192 + 4)).toBe(0); // nobody is counted as asleep
    expect(m.load32(320 + 4)).toBe(0);
  });
});

const kinds: [string, () => [PortEnd, PortEnd]][] = [
  ['rings', () => pairRings(new SharedArrayBuffer(3 * PORT_RING), ring(0, PORT_RING, MAX_MESSAGE), ring(PORT_RING + 4096, PORT_RING, MAX_MESSAGE))],
  ['copies', pairCopies],
];

describe.each(kinds)('a port of %s', (_, pair) => {
  const open = (): [Port, Port] => { const [a, b] = pair(); return [openPort(a), openPort(b)]; };

  it('delivers in order and makes a fast sender wait', async () => {
    const [a, b] = open(), total = 40, size = 1 << 20;
    const got: number[] = [];
    const done = new Promise<void>((ok) => { b.onmessage = (m) => { got.push(m[0] ?? -1); expect(m.length).toBe(size); if (got.length === total) ok(); }; });
    let waits = 0;
    for (let i = 0; i < total; i++) {
      const m = new Uint8Array(size).fill(i);
      while (!a.send(m)) { waits++; await a.writable(); }
    }
    await done;
    expect(got).toEqual(Array.from({ length: total }, (_, i) => i));
    expect(waits).toBeGreaterThan(0);
    a.close();
  });

  it('joins the parts of a message', async () => {
    const [a, b] = open();
    a.send(Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3));
    const into = new Uint8Array(MAX_MESSAGE);
    await b.readable();
    expect([...into.subarray(0, b.take(into))]).toEqual([1, 2, 3]);
    expect(() => a.send(new Uint8Array(MAX_MESSAGE + 1))).toThrow(RangeError);
    expect(() => a.send(new Uint8Array(0))).toThrow(RangeError);
    a.close();
  });

  it('tells both sides of its end, sleepers too', async () => {
    const [a, b] = open();
    const closed = new Promise<void>((ok) => { b.onclose = () => ok(); });
    b.onmessage = () => undefined;
    const own = a.readable();
    await new Promise((ok) => setTimeout(ok, 5)); // both sleep now
    a.close();
    await expect(own).rejects.toThrow('closed');
    await closed;
    expect(() => a.send(Uint8Array.of(1))).toThrow('closed');
  });
});

it('takes a want of memory for want of room, and sends when there is some', async () => {
  const [a, b] = pairCopies().map(openPort) as [Port, Port];
  vi.stubGlobal('Uint8Array', class { constructor() { throw new RangeError('Array buffer allocation failed'); } });
  const m = Buffer.from('again'), sent = a.send(m);
  vi.unstubAllGlobals();
  expect(sent).toBe(false);
  await a.writable();
  expect(a.send(m)).toBe(true);
  const into = new Uint8Array(MAX_MESSAGE);
  await b.readable();
  expect(Buffer.from(into.subarray(0, b.take(into))).toString()).toBe('again');
  a.close();
});

describe('a port that copies', () => {
  /** failing sends while the making of a copy throws. */
  const failing = (p: Port, what: unknown): boolean => {
    vi.stubGlobal('Uint8Array', class { constructor() { throw what; } });
    try { return p.send(Buffer.from('again')); } finally { vi.unstubAllGlobals(); }
  };

  it('ends with the reason when memory stays short', () => {
    const a = openPort(pairCopies()[0]), why: unknown[] = [], shortage = new RangeError('Array buffer allocation failed');
    a.onclose = (e) => why.push(e);
    for (let i = 0; i < 99; i++) expect(failing(a, shortage)).toBe(false);
    expect(a.send(Uint8Array.of(1))).toBe(true); // one that is sent ends the row
    for (let i = 0; i < 99; i++) expect(failing(a, shortage)).toBe(false);
    expect(why).toEqual([]);
    expect(() => failing(a, shortage)).toThrow('Array buffer allocation failed');
    expect(why).toEqual([expect.objectContaining({ message: expect.stringContaining('Array buffer allocation failed') })]);
    expect(() => a.send(Uint8Array.of(1))).toThrow('Array buffer allocation failed');
  });

  it('takes a mistake for no want of memory', () => {
    const a = openPort(pairCopies()[0]);
    expect(() => failing(a, new TypeError('it is no buffer'))).toThrow('it is no buffer');
    a.close();
  });
});
