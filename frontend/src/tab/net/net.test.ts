import { describe, expect, it } from 'vitest';
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';
import { openPort, pairCopies, type Port } from '../../bridge/port.ts';
import { credited } from './credited.ts';
import { Budget, budgeted, DIRECT_CONNECTION, DIRECT_STREAM } from './direct.ts';
import { decodeFrame, encodeHead, Invalid, readText, splitNamed, writeText, type Frame } from './frame.ts';
import { Link, Refusal, type Peers, type Reports } from './mux.ts';
import type { Wire } from './stream.ts';

/** numbers is a small seeded generator: the same on every run. */
function numbers(seed: number): () => number {
  let x = seed;
  return () => { x = (Math.imul(x, 1664525) + 1013904223) >>> 0; return x >>> 8; };
}

const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

describe('frames', () => {
  it('come back as they were', () => {
    const next = numbers(3);
    for (let i = 0; i < 2000; i++) {
      const kind = L.NET_START + next() % L.NET_MEMBER;
      const want: Frame = { kind, code: next() % 256, id: next(), conn: next(), value: next(), payload: new Uint8Array(1 + next() % 50).fill(i) };
      expect(decodeFrame(join(encodeHead(kind, want), want.payload))).toEqual(want);
    }
  });

  it('are refused when nobody means them, and nothing else is thrown', () => {
    const next = numbers(5);
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const m = Uint8Array.from({ length: next() % 60 }, () => next() & 255);
      try {
        const f = decodeFrame(m);
        splitNamed(f.payload);
      } catch (e) {
        if (!(e instanceof Invalid)) throw e;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
    expect(() => decodeFrame(join(encodeHead(L.NET_DATA), new Uint8Array(L.NET_MAX_DATA + 1)))).toThrow(Invalid);
    expect(() => decodeFrame(join(encodeHead(L.NET_DIAL), new Uint8Array(L.NET_MAX_TEXT + 1)))).toThrow(Invalid);
    expect(() => decodeFrame(encodeHead(L.NET_DATA))).toThrow(Invalid);
    expect(() => readText(Uint8Array.of(0xff))).toThrow(Invalid);
    expect(writeText('ü'.repeat(L.NET_MAX_TEXT)).length).toBeLessThanOrEqual(L.NET_MAX_TEXT - 32);
  });
});

/** TestWire is a wire whose other end is the test. */
class TestWire implements Wire {
  ondata: (b: Uint8Array) => void = () => undefined;
  onend: () => void = () => undefined;
  onlost: () => void = () => undefined;
  opened = false;
  paused = false;
  closed = false;
  aborted = false;
  sent = 0;
  ready: Promise<void> | undefined; // what send returns
  other: TestWire | undefined;      // gets what is sent, a microtask later
  open(): void { this.opened = true; }
  pause(): void { this.paused = true; }
  resume(): void { this.paused = false; }
  send(b: Uint8Array): Promise<void> | undefined {
    this.sent += b.length;
    const other = this.other;
    if (other) queueMicrotask(() => other.ondata(b));
    return this.ready;
  }
  close(): Promise<void> { this.closed = true; const o = this.other; if (o) queueMicrotask(() => o.onend()); return Promise.resolve(); }
  abort(): void { this.aborted = true; }
}

/** Kernel is the other end of a link. */
class Kernel {
  readonly got: Frame[] = [];
  private wake: (() => void)[] = [];
  constructor(readonly port: Port) {
    port.onmessage = (m) => { this.got.push({ ...decodeFrame(m), payload: decodeFrame(m).payload.slice() }); for (const w of this.wake.splice(0)) w(); };
  }
  tell(kind: number, f: Partial<Frame> = {}, ...payload: Uint8Array[]): void { expect(this.port.send(encodeHead(kind, f), ...payload)).toBe(true); }
  async next(kind: number): Promise<Frame> {
    for (;;) {
      const i = this.got.findIndex((f) => f.kind === kind);
      if (i >= 0) return this.got.splice(i, 1)[0] as Frame;
      await new Promise<void>((ok) => this.wake.push(ok));
    }
  }
}

const key = new Uint8Array(32).fill(9);
const seed = new Uint8Array(32).fill(1);

/** begin starts a link over peers of the test's. */
async function begin(peers: Partial<Peers> = {}): Promise<{ kernel: Kernel; reports: Reports; closed: Promise<void>; said: string[] }> {
  const [a, b] = pairCopies(), kernel = new Kernel(openPort(a)), said: string[] = [];
  const closed = new Promise<void>((ok) => { kernel.port.onclose = () => ok(); });
  const reports = await new Promise<Reports>((ok) => {
    new Link(openPort(b), (s, protocols, r) => {
      expect([...s]).toEqual([...seed]);
      expect(protocols).toEqual(['/x/1', '/y/1']);
      ok(r);
      const none = (): Promise<never> => Promise.reject(new Error('not in this test'));
      return Promise.resolve({ dial: none, open: none, hangUp: () => undefined, member: () => undefined, stop: () => Promise.resolve(), ...peers });
    }, (what) => said.push(what));
    kernel.tell(L.NET_START, { value: L.NET_VERSION }, seed, writeText('/x/1\n/y/1'));
  });
  return { kernel, reports, closed, said };
}

describe('the link', () => {
  it('dials for the kernel and says how it went', async () => {
    const { kernel } = await begin({
      dial: (k, addrs, signal) => {
        expect([...k]).toEqual([...key]);
        if (addrs[0] === '/own') return Promise.reject(new Refusal(L.NET_OWN_KEY, 'me'));
        if (addrs[0] === '/hang') return new Promise((_, fail) => { signal.onabort = () => fail(new Error('called off')); });
        return addrs.length === 2 ? Promise.resolve() : Promise.reject(new AggregateError([new Error('a'), new Error('b')]));
      },
    });
    kernel.tell(L.NET_DIAL, { id: 1 }, key, writeText('/a\n/b'));
    expect(await kernel.next(L.NET_DIALED)).toMatchObject({ id: 1, code: 0 });
    kernel.tell(L.NET_DIAL, { id: 2 }, key, writeText('/a'));
    const failed = await kernel.next(L.NET_DIALED);
    expect([failed.code, readText(failed.payload)]).toEqual([L.NET_UNAVAILABLE, 'Error: a; Error: b']);
    kernel.tell(L.NET_DIAL, { id: 3 }, key, writeText('/own'));
    expect(await kernel.next(L.NET_DIALED)).toMatchObject({ id: 3, code: L.NET_OWN_KEY });
    kernel.tell(L.NET_DIAL, { id: 4 }, key, writeText('/hang'));
    kernel.tell(L.NET_UNDIAL, { id: 4 });
    expect(await kernel.next(L.NET_DIALED)).toMatchObject({ id: 4, code: L.NET_UNAVAILABLE });
  });

  it('makes a peer wait when the kernel gives no credit', async () => {
    const { kernel, reports } = await begin(), wire = new TestWire();
    reports.accept(7, '/x/1', wire);
    const a = await kernel.next(L.NET_ACCEPT);
    expect([a.conn, a.id % 2, readText(a.payload), wire.opened]).toEqual([7, 0, '/x/1', true]);
    let sent = 0;
    while (!wire.paused) { wire.ondata(new Uint8Array(100_000)); sent += 100_000; expect(sent).toBeLessThan(2 * L.NET_WINDOW); }
    let got = 0;
    while (got < L.NET_WINDOW) { const f = await kernel.next(L.NET_DATA); expect(f.payload.length).toBeLessThanOrEqual(L.NET_MAX_DATA); got += f.payload.length; }
    expect(got).toBe(L.NET_WINDOW);
    wire.onend(); // it sent its last, which still waits
    kernel.tell(L.NET_CREDIT, { id: a.id, value: L.NET_WINDOW });
    while (got < sent) got += (await kernel.next(L.NET_DATA)).payload.length;
    expect(got).toBe(sent);
    await kernel.next(L.NET_END);
    expect(wire.paused).toBe(false);
    kernel.tell(L.NET_END, { id: a.id });
    await expect.poll(() => wire.closed).toBe(true);
  });

  it('gives the kernel credit as the transport takes the bytes', async () => {
    const wire = new TestWire();
    const { kernel } = await begin({ open: () => Promise.resolve({ wire, conn: 3 }) });
    kernel.tell(L.NET_OPEN, { id: 1 }, key, writeText('/x/1'));
    expect(await kernel.next(L.NET_OPENED)).toMatchObject({ id: 1, conn: 3 });
    let drain: () => void = () => undefined;
    wire.ready = new Promise((ok) => { drain = ok; });
    for (let i = 0; i < L.NET_WINDOW / L.NET_MAX_DATA; i++) kernel.tell(L.NET_DATA, { id: 1 }, new Uint8Array(L.NET_MAX_DATA));
    await expect.poll(() => wire.sent).toBe(L.NET_WINDOW);
    expect(kernel.got).toEqual([]);
    drain();
    let credit = 0;
    while (credit < L.NET_WINDOW) credit += (await kernel.next(L.NET_CREDIT)).value;
    expect(credit).toBe(L.NET_WINDOW);
    wire.onlost();
    expect(await kernel.next(L.NET_RESET)).toMatchObject({ id: 1 });
  });

  it('holds a bounded number of streams', async () => {
    const { reports } = await begin(), wires = Array.from({ length: L.NET_MAX_STREAMS + 3 }, () => new TestWire());
    for (const w of wires) reports.accept(1, '/x/1', w);
    expect(wires.filter((w) => w.aborted).length).toBe(3);
    reports.gone(1); // all of them
    const again = new TestWire();
    reports.accept(2, '/x/1', again);
    expect(again.aborted).toBe(false);
  });

  const bad: [string, (k: Kernel, id: number) => void][] = [
    ['starts twice', (k) => k.tell(L.NET_START, { value: L.NET_VERSION }, seed)],
    ['says what the worker says', (k) => k.tell(L.NET_GONE, { conn: 1 })],
    ['opens an even stream', (k) => k.tell(L.NET_OPEN, { id: 2 }, key, writeText('/x/1'))],
    ['names no node', (k) => k.tell(L.NET_DIAL, { id: 2 })],
    ['gives too much credit', (k, id) => k.tell(L.NET_CREDIT, { id, value: 1 })],
    ['sends after the end', (k, id) => { k.tell(L.NET_END, { id }); k.tell(L.NET_DATA, { id }, key); }],
    ['sends garbage', (k) => void k.port.send(new Uint8Array(3))],
  ];
  it.each(bad)('ends with a kernel that %s', async (_, spoil) => {
    const { kernel, reports, closed, said } = await begin(), wire = new TestWire();
    reports.accept(1, '/x/1', wire);
    spoil(kernel, (await kernel.next(L.NET_ACCEPT)).id);
    await closed;
    expect(said.length).toBe(1);
    expect(wire.aborted).toBe(true);
  });
});

describe('a stream between tabs', () => {
  const pair = (): { a: Wire; b: Wire; ia: TestWire; ib: TestWire } => {
    const ia = new TestWire(), ib = new TestWire();
    [ia.other, ib.other] = [ib, ia];
    return { a: credited(ia), b: credited(ib), ia, ib };
  };

  it('carries what is sent, in order, with a reader that stops and goes', async () => {
    const { a, b } = pair(), next = numbers(11), got: number[] = [], want: number[] = [];
    b.ondata = (d) => { for (const x of d) got.push(x); };
    let waits = 0;
    for (let i = 0; i < 300; i++) {
      const d = Uint8Array.from({ length: 1 + next() % 20_000 }, () => next() & 255);
      want.push(...d);
      if (i % 3 === 0) b.pause(); else b.resume();
      const wait = a.send(d);
      if (wait) { waits++; b.resume(); await wait; }
    }
    b.resume();
    const ended = new Promise<void>((ok) => { b.onend = ok; });
    await a.close();
    await ended;
    expect(waits).toBeGreaterThan(0);
    expect(Buffer.from(got).equals(Buffer.from(want))).toBe(true);
  });

  it('stops at the credit, and ends with a peer that does not', async () => {
    const { a, b, ia, ib } = pair();
    let got = 0;
    b.ondata = (d) => { got += d.length; };
    b.pause();
    let waited = false;
    const sending = a.send(new Uint8Array(3 * L.NET_TAB_WINDOW));
    void sending?.then(() => { waited = true; });
    await new Promise((ok) => setTimeout(ok, 20));
    expect([got, waited]).toEqual([L.NET_TAB_WINDOW, false]);
    b.resume();
    await sending;
    expect(got).toBe(3 * L.NET_TAB_WINDOW);
    for (const wrong of [[L.NET_DATA, 0], [L.NET_DATA, 0xffffffff], [L.NET_CREDIT, 0], [L.NET_CREDIT, 0x7fffffff], [99, 1]] as const) {
      const p = pair();
      let lost = false;
      p.b.onlost = () => { lost = true; };
      const head = new Uint8Array(L.NET_PIECE_SIZE), v = new DataView(head.buffer);
      v.setUint8(L.NET_PIECE_AT_KIND, wrong[0]);
      v.setUint32(L.NET_PIECE_AT_VALUE, wrong[1], true);
      p.ib.ondata(head);
      expect([lost, p.ib.aborted]).toEqual([true, true]);
    }
    void ia; void ib;
  });

  // js-libp2p throws from send once its stream has closed, and rejects what waits for it to drain.
  it.each([
    ['throws', () => { throw new Error('the stream is closed'); }],
    ['rejects', () => Promise.reject(new Error('the stream was reset'))],
  ] as [string, () => Promise<void>][])('is lost, once, with a transport that %s', async (_, send) => {
    const arrivals: ((p: ReturnType<typeof pair>) => void)[] = [
      (p) => { void p.a.send(new Uint8Array(10)); },
      (p) => p.ia.ondata(credit(L.NET_TAB_WINDOW)), // for the sender that waits
      (p) => { p.ia.ondata(piece(L.NET_DATA, L.NET_TAB_WINDOW)); p.ia.ondata(new Uint8Array(L.NET_TAB_WINDOW)); }, // gives credit back
    ];
    for (const [i, arrive] of arrivals.entries()) {
      const p = pair();
      p.ia.other = undefined;
      let lost = 0, failed = false;
      p.a.onlost = () => { lost++; };
      if (i === 1) {
        void p.a.send(new Uint8Array(L.NET_TAB_WINDOW));
        p.a.send(new Uint8Array(10))?.then(() => undefined, () => { failed = true; });
        p.a.send(new Uint8Array(L.NET_TAB_WINDOW))?.then(() => undefined, () => { failed = true; });
      }
      p.ia.send = send;
      arrive(p);
      await new Promise((ok) => setTimeout(ok, 0));
      expect([lost, failed]).toEqual([1, i === 1]);
      expect(() => p.a.send(new Uint8Array(1))).toThrow();
    }
  });

  it('gives no credit in a direction that it has closed', async () => {
    const { a, ia } = pair();
    let lost = false;
    a.onlost = () => { lost = true; };
    await a.close();
    ia.send = () => { throw new Error('the stream is closed'); };
    ia.ondata(piece(L.NET_DATA, L.NET_TAB_WINDOW));
    ia.ondata(new Uint8Array(L.NET_TAB_WINDOW));
    expect(lost).toBe(false);
  });
});

const piece = (kind: number, value: number): Uint8Array => {
  const b = new Uint8Array(L.NET_PIECE_SIZE), v = new DataView(b.buffer);
  v.setUint8(L.NET_PIECE_AT_KIND, kind);
  v.setUint32(L.NET_PIECE_AT_VALUE, value, true);
  return b;
};
const credit = (n: number): Uint8Array => piece(L.NET_CREDIT, n);

describe('streams of a connection that makes no sender wait', () => {
  const mib = (n: number): Uint8Array => new Uint8Array(1 << 20).fill(n);
  const open = (budget: Budget) => {
    const inner = new TestWire(), wire = budgeted(inner, budget), got: (number | string)[] = [];
    wire.ondata = (b) => got.push(b[0] ?? -1);
    wire.onend = () => got.push('end');
    wire.onlost = () => got.push('lost');
    return { inner, wire, got };
  };

  it('hold what waits, in order, and then the end', () => {
    const { inner, wire, got } = open(new Budget());
    inner.ondata(mib(1));
    wire.pause();
    for (let i = 2; i <= DIRECT_STREAM >> 20; i++) inner.ondata(mib(i));
    inner.onend();
    expect(got).toEqual([1]);
    wire.ondata = (b) => { got.push(b[0] ?? -1); if (b[0] === 3) wire.pause(); };
    wire.resume();
    expect(got).toEqual([1, 2, 3]);
    wire.resume();
    expect(got).toEqual([...Array.from({ length: DIRECT_STREAM >> 20 }, (_, i) => i + 1), 'end']);
  });

  it('are reset beyond their own share or the connection\'s, and leave it to the others', () => {
    const budget = new Budget(), per = DIRECT_STREAM >> 20, streams = Array.from({ length: DIRECT_CONNECTION / DIRECT_STREAM + 1 }, () => open(budget));
    const [a, b, c] = streams as [typeof streams[0], typeof streams[0], typeof streams[0]];
    for (const s of streams) s.wire.pause();
    for (const s of [a, b]) for (let i = 0; i < per; i++) s.inner.ondata(mib(i));
    expect([a.got, b.got]).toEqual([[], []]);
    c.inner.ondata(mib(0));
    expect([c.got, c.inner.aborted]).toEqual([['lost'], true]);
    a.inner.ondata(mib(0));
    expect([a.got, a.inner.aborted]).toEqual([['lost'], true]);
    b.wire.resume();
    expect(b.got.length).toBe(per);
    const d = open(budget), e = open(budget);
    for (const s of [d, e]) { s.wire.pause(); for (let i = 0; i < per; i++) s.inner.ondata(mib(i)); }
    expect([d.got, e.got]).toEqual([[], []]); // what was lost or read is free again
  });
});
