import { afterEach, expect, it, vi } from 'vitest';
import type { Port } from '../bridge/port.ts';
import { Calls, K, frame, type Wire } from './calls.ts';
import { Hub, followHost } from './hub.ts';

const text = (f: Uint8Array): string => new TextDecoder().decode(f.subarray(5));
const numberOf = (f: Uint8Array): number => new DataView(f.buffer, f.byteOffset).getUint32(1, true);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** Kernel is the other end of a port that holds few bytes: it takes a frame only when told. */
class Kernel implements Port {
  readonly taken: Uint8Array[] = [];
  private readonly held: Uint8Array[] = [];
  private waiting: (() => void)[] = [];
  onmessage: ((m: Uint8Array) => void) | undefined;
  onclose: ((why?: Error) => void) | undefined;
  constructor(private readonly room: number) {}
  send(...parts: Uint8Array[]): boolean {
    const f = parts[0]!;
    const used = this.held.reduce((n, x) => n + x.length, 0);
    if (used + f.length > this.room) return false;
    this.held.push(f.slice());
    return true;
  }
  writable(): Promise<void> { return new Promise((ok) => this.waiting.push(ok)); }
  take(): number { throw new Error('not used'); }
  readable(): Promise<void> { throw new Error('not used'); }
  close(): void { this.onclose?.(); }
  /** next takes one frame, as a busy kernel does, and lets who waits look again. */
  next(): void {
    const f = this.held.shift();
    if (f) this.taken.push(f);
    for (const ok of this.waiting.splice(0)) ok();
  }
  answer(id: number, value: unknown): void { this.onmessage?.(frame(K.result, id, bytes(JSON.stringify(value)))); }
}

let name = 0;
const open: BroadcastChannel[] = [];
const channels = (): [BroadcastChannel, BroadcastChannel] => {
  const at = `hub-${++name}`, pair: [BroadcastChannel, BroadcastChannel] = [new BroadcastChannel(at), new BroadcastChannel(at)];
  open.push(...pair);
  return pair;
};
afterEach(() => { for (const c of open.splice(0)) c.close(); });

const never = (): Promise<unknown> => new Promise(() => undefined);
const atOnce = (_: string, fn: () => Promise<void>): Promise<unknown> => fn();
const follow = (c: BroadcastChannel, up: (w: Wire) => void, down = (): void => undefined): (() => void) => followHost(c, { up, down }, atOnce);

it('keeps the order of another tab’s frames while the port is full', async () => {
  const [mine, theirs] = channels(), kernel = new Kernel(300);
  new Hub(kernel, mine, never);
  const wire = await new Promise<Wire>((ok) => { follow(theirs, ok); });
  const want: string[] = [];
  await wire.send(frame(K.call, 1, bytes('call')));
  want.push('call');
  for (let i = 0; i < 40; i++) { // large and small, so that a later one would fit where an earlier does not
    const body = `${i}:${'x'.repeat(i % 3 === 0 ? 200 : 3)}`;
    await wire.send(frame(K.body, 1, bytes(body)));
    want.push(body);
  }
  await wire.send(frame(K.bodyEnd, 1, bytes('end')));
  want.push('end');
  await vi.waitFor(() => { kernel.next(); expect(kernel.taken).toHaveLength(want.length); }, { timeout: 5000, interval: 1 });
  expect(kernel.taken.map(text)).toEqual(want);
});

it('follows one kernel after another', async () => {
  const [mine, theirs] = channels(), ups: Wire[] = [];
  let downs = 0;
  const first = new Kernel(1e6), hub = new Hub(first, mine, never);
  follow(theirs, (w) => ups.push(w), () => { downs++; });
  await vi.waitFor(() => expect(ups).toHaveLength(1));
  const lost = new Calls(ups[0]!).call('status').catch((e: unknown) => (e as Error).message);
  hub.end('it crashed');
  expect(await lost).toContain('closed it');
  expect(downs).toBe(1);
  const second = new Kernel(1e6);
  new Hub(second, mine, never);
  await vi.waitFor(() => expect(ups).toHaveLength(2));
  const answer = new Calls(ups[1]!).call('status');
  await vi.waitFor(() => { second.next(); expect(second.taken).toHaveLength(1); });
  second.answer(numberOf(second.taken[0]!), 'fine');
  expect(await answer).toBe('fine');
});

it('cancels the calls of a tab that died, and refuses more than it relays', async () => {
  const [mine, theirs] = channels(), kernel = new Kernel(1e6);
  let die: () => void = () => undefined;
  new Hub(kernel, mine, () => new Promise<void>((ok) => { die = ok; }));
  const calls = new Calls(await new Promise<Wire>((ok) => { follow(theirs, ok); }));
  const all = Array.from({ length: 60 }, () => calls.call('watch').catch((e: unknown) => (e as { kind: string }).kind));
  const refused = await Promise.race(all);
  expect(refused).toBe('exhausted');
  await vi.waitFor(() => { kernel.next(); expect(kernel.taken).toHaveLength(48); }, { interval: 1 });
  die();
  await vi.waitFor(() => { kernel.next(); expect(kernel.taken.filter((f) => f[0] === K.cancel)).toHaveLength(48); }, { interval: 1 });
});

it('ends a call whose taker fails, and no other', async () => {
  const kernel = new Kernel(1e6), hub = new Hub(kernel, channels()[0], never), calls = new Calls(hub.wire);
  const bad = calls.call('events', 0, { item: () => { throw new Error('a view broke'); } }), good = calls.call('status');
  await vi.waitFor(() => { kernel.next(); expect(kernel.taken).toHaveLength(2); });
  kernel.onmessage?.(frame(K.item, numberOf(kernel.taken[0]!), bytes('{}')));
  await expect(bad).rejects.toThrow('a view broke');
  await vi.waitFor(() => { kernel.next(); expect(kernel.taken.at(-1)?.[0]).toBe(K.cancel); });
  kernel.answer(numberOf(kernel.taken[1]!), 'fine');
  expect(await good).toBe('fine');
});
