// One node for all tabs of a browser's profile: the tab that runs it relays the frames of the others, which reach it
// over a BroadcastChannel. Calls are numbered anew on the way, so no two tabs' calls meet.
//
// Invariants:
//   - Frames reach the kernel in the order in which each tab sent them, also while the port is full.
//   - What a call has under way is bounded by its window (calls.ts), and the calls of other tabs by MAX_RELAYED.
//   - The calls of a tab that leaves, crashes or is discarded are canceled: each tab holds a Web Lock while it lives.
import { K, frame, type Wire } from './calls.ts';
import type { Port } from '../bridge/port.ts';

/** Relayed is what travels on the channel. host tells one run of a kernel from the next. */
type Relayed =
  | { t: 'frame'; from: string; to: string; frame: Uint8Array }
  | { t: 'here'; host: string }   // the host says that it is, also when asked
  | { t: 'anybody' }
  | { t: 'ended'; host: string }  // its kernel is gone
  | { t: 'gone'; from: string };  // a tab leaves

const HOST = 'host';

/** MAX_RELAYED bounds the calls of other tabs that are under way; the kernel runs fewer at once. */
const MAX_RELAYED = 48;

const lockOf = (tab: string): string => `inos-tab-${tab}`;

/** untilDead resolves when a tab no longer holds its lock. */
const untilDead = (tab: string): Promise<unknown> => navigator.locks.request(lockOf(tab), () => undefined);

/** inOrder sends frames one after another; each waits while the port is full. */
function inOrder(port: Port): (f: Uint8Array) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  return (f) => {
    const sent = last.catch(() => undefined).then(async () => { while (!port.send(f)) await port.writable(); });
    last = sent;
    return sent;
  };
}

const numbered = (f: Uint8Array): DataView => new DataView(f.buffer, f.byteOffset, f.byteLength);

interface Relay { tab: string; id: number }

/** Hub shares a kernel's port between this tab and others. */
export class Hub {
  /** wire is this tab's own. */
  readonly wire: Wire;
  private readonly send: (f: Uint8Array) => Promise<void>;
  private readonly calls = new Map<number, Relay>();    // by the kernel's number; tab '' is this one
  private readonly numbers = new Map<string, number>(); // kernel's number by tab and its number
  private readonly tabs = new Set<string>();            // whose end is waited for
  private readonly id = crypto.randomUUID();
  private relayed = 0; // of calls, those of other tabs
  private last = 0;
  private over = false;

  constructor(port: Port, private readonly channel: BroadcastChannel, private readonly dead: (tab: string) => Promise<unknown> = untilDead) {
    this.send = inOrder(port);
    port.onclose = (why) => this.end(why?.message ?? 'the kernel has ended');
    port.onmessage = (m) => this.down(m);
    this.wire = { send: (f) => this.up('', f), onframe: () => undefined, onclose: () => undefined };
    channel.onmessage = (e: MessageEvent<Relayed>) => this.heard(e.data);
    this.say({ t: 'here', host: this.id });
  }

  private say(m: Relayed): void { this.channel.postMessage(m); }

  private heard(m: Relayed): void {
    if (m.t === 'anybody') this.say({ t: 'here', host: this.id });
    if (m.t === 'frame' && m.to === HOST) {
      this.watch(m.from);
      void this.up(m.from, m.frame).catch(() => undefined); // the port closed: end tells everybody
    }
    if (m.t === 'gone') this.forget(m.from);
  }

  /** watch cancels a tab's calls once it is dead. */
  private watch(tab: string): void {
    if (this.tabs.has(tab)) return;
    this.tabs.add(tab);
    void this.dead(tab).then(() => { this.tabs.delete(tab); this.forget(tab); }, () => undefined);
  }

  private forget(tab: string): void {
    for (const [n, c] of this.calls) if (c.tab === tab) void this.send(frame(K.cancel, n)).catch(() => undefined);
  }

  /** up gives a tab's frame the kernel's number and passes it on. */
  private async up(tab: string, f: Uint8Array): Promise<void> {
    const id = numbered(f).getUint32(1, true), key = `${tab} ${id}`;
    let n = this.numbers.get(key);
    if (n === undefined) {
      if (f[0] !== K.call) return; // of a call that is over
      if (tab !== '' && this.relayed >= MAX_RELAYED) { this.refuse(tab, id); return; }
      n = this.last = (this.last + 1) >>> 0;
      this.numbers.set(key, n);
      this.calls.set(n, { tab, id });
      if (tab !== '') this.relayed++;
    }
    numbered(f).setUint32(1, n, true);
    await this.send(f);
  }

  private refuse(tab: string, id: number): void {
    const why = new TextEncoder().encode(JSON.stringify({ kind: 'exhausted', message: 'too many calls of other tabs are under way; close some of them' }));
    this.say({ t: 'frame', from: HOST, to: tab, frame: frame(K.failure, id, why) });
  }

  /** down passes the kernel's frame to whose call it is. */
  private down(f: Uint8Array): void {
    const n = numbered(f).getUint32(1, true), c = this.calls.get(n);
    if (!c) return;
    if (f[0] === K.result || f[0] === K.failure) {
      this.calls.delete(n);
      this.numbers.delete(`${c.tab} ${c.id}`);
      if (c.tab !== '') this.relayed--;
    }
    const copy = f.slice(); // the port's memory is not ours to write
    numbered(copy).setUint32(1, c.id, true);
    if (c.tab === '') this.wire.onframe(copy);
    else this.say({ t: 'frame', from: HOST, to: c.tab, frame: copy });
  }

  /** end tells everybody that the kernel is gone. */
  end(why: string): void {
    if (this.over) return;
    this.over = true;
    this.say({ t: 'ended', host: this.id });
    this.channel.onmessage = null;
    this.wire.onclose(why);
  }
}

/** Following hears of kernels that another tab runs. */
export interface Following {
  up(wire: Wire): void;   // one answers: until down, calls go over wire
  down(why: string): void;
}

/** followHost uses the kernel of whichever tab runs it, one after another, until what it returns is called. */
export function followHost(channel: BroadcastChannel, o: Following, hold: (lock: string, fn: () => Promise<void>) => Promise<unknown> = (l, fn) => navigator.locks.request(l, fn)): () => void {
  const self = crypto.randomUUID();
  let wire: Wire | undefined, host = '';
  let release: () => void = () => undefined, left = false;
  const lost = (): void => {
    const w = wire;
    wire = undefined;
    host = '';
    if (!w) return;
    w.onclose('the tab that ran the node has closed it');
    o.down('the tab that ran the node has closed it');
  };
  const found = (id: string): void => {
    if (host === id) return;
    lost(); // a host that crashed said nothing
    host = id;
    wire = {
      send: async (f) => { channel.postMessage({ t: 'frame', from: self, to: HOST, frame: f } satisfies Relayed); },
      onframe: () => undefined, onclose: () => undefined,
    };
    o.up(wire);
  };
  const begin = (): void => {
    channel.onmessage = ({ data: m }: MessageEvent<Relayed>) => {
      if (m.t === 'here') found(m.host);
      if (m.t === 'frame' && m.to === self) wire?.onframe(m.frame);
      if (m.t === 'ended' && m.host === host) lost();
    };
    channel.postMessage({ t: 'anybody' } satisfies Relayed);
  };
  // The lock is held before the first frame, so that the host can wait for its end.
  void hold(lockOf(self), () => new Promise<void>((ok) => {
    if (left) { ok(); return; }
    release = ok;
    begin();
  }));
  return () => {
    left = true;
    channel.postMessage({ t: 'gone', from: self } satisfies Relayed);
    channel.onmessage = null;
    release();
  };
}
