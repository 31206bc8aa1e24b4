// The network worker's end of the link to the kernel: streams, with credit in each direction.
//
// Invariants:
//   - The kernel is sent no more bytes of a stream than it gave credit for; a stream without credit, or with
//     the port full, is made to wait by its transport's own means.
//   - Credit goes back to the kernel when a transport has taken the bytes, so what waits here is bounded by
//     NET_WINDOW a stream, and there are at most NET_MAX_STREAMS.
//   - Frames that answer or report never wait behind data that does not fit; they queue when the port is full,
//     and there are few for each stream and connection.
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';
import type { Port } from '../../bridge/port.ts';
import { decodeFrame, encodeHead, Invalid, splitNamed, writeText, type Frame } from './frame.ts';
import { PeerStream, type Wire } from './stream.ts';

/** Peers is what the link needs of libp2p. Nothing here dials but on the kernel's word. */
export interface Peers {
  /** Connects to a node; the connection is reported before this resolves. */
  dial(key: Uint8Array, addrs: string[], signal: AbortSignal): Promise<void>;
  /** Opens a stream to a connected node. */
  open(key: Uint8Array, protocol: string, signal: AbortSignal): Promise<{ wire: Wire; conn: number }>;
  /** Ends a connection at once. */
  hangUp(conn: number): void;
  /** Says that the node at the other end is a member, so that it may be asked to relay. */
  member(conn: number): void;
  /** Ends everything. */
  stop(): Promise<void>;
}

/** Reports is what libp2p tells the link. */
export interface Reports {
  connected(conn: number, key: Uint8Array, addr: string, inbound: boolean): void;
  gone(conn: number): void;
  accept(conn: number, protocol: string, wire: Wire): void;
  addrs(list: string[]): void;
}

/** Start makes libp2p with the node's key, once the kernel gave it. */
export type Start = (seed: Uint8Array, protocols: string[], reports: Reports) => Promise<Peers>;

/** Refusal is an error whose kind the kernel understands: one of the codes of the schema. */
export class Refusal extends Error {
  constructor(readonly code: number, message: string) { super(message); }
}

/** MAX_REPORTS bounds the frames that wait for the port; a kernel that takes none for so long has failed. */
const MAX_REPORTS = 4096;

/** Link serves one kernel until the port closes. */
export class Link implements Reports {
  private peers: Promise<Peers> | undefined;
  private readonly dials = new Map<number, AbortController>();
  private readonly opening = new Map<number, AbortController>();
  private readonly streams = new Map<number, PeerStream>();
  private readonly reports: Uint8Array[][] = [];
  private flushing = false;
  private lastId = 0;
  private over = false;

  constructor(private readonly port: Port, private readonly start: Start, private readonly log: (what: string) => void = () => undefined) {
    port.onclose = () => void this.end();
    port.onmessage = (m) => {
      try {
        this.take(decodeFrame(m));
      } catch (e) {
        this.log(e instanceof Error ? e.message : String(e));
        port.close();
      }
    };
  }

  connected(conn: number, key: Uint8Array, addr: string, inbound: boolean): void {
    this.tell(encodeHead(L.NET_CONNECTED, { conn, code: inbound ? 1 : 0 }), key, writeText(addr));
  }

  gone(conn: number): void {
    for (const s of this.streams.values()) if (s.conn === conn) this.forget(s.id);
    this.tell(encodeHead(L.NET_GONE, { conn }));
  }

  accept(conn: number, protocol: string, wire: Wire): void {
    if (this.over || this.streams.size >= L.NET_MAX_STREAMS) { wire.abort(new Error('too many streams')); return; }
    this.lastId += 2;
    const id = this.lastId;
    this.tell(encodeHead(L.NET_ACCEPT, { id, conn }), writeText(protocol));
    this.streams.set(id, new PeerStream(this, id, conn, wire));
  }

  addrs(list: string[]): void { this.tell(encodeHead(L.NET_ADDRS), writeText(list.join('\n'))); }

  /** tell queues a frame that must arrive, behind those that wait already. */
  tell(...parts: Uint8Array[]): void {
    if (this.over) return;
    if (this.reports.length === 0 && this.port.send(...parts)) return;
    if (this.reports.length >= MAX_REPORTS) { this.log('the kernel takes nothing'); this.port.close(); return; }
    this.reports.push(parts);
    void this.flush();
  }

  /** data sends bytes of a stream; false when they must wait for `again`. */
  data(id: number, bytes: Uint8Array): boolean {
    if (this.over) return true;
    if (this.reports.length === 0 && this.port.send(encodeHead(L.NET_DATA, { id }), bytes)) return true;
    void this.flush();
    return false;
  }

  /** forget drops a stream that is over for both sides. */
  forget(id: number): void { this.streams.delete(id); }

  private async flush(): Promise<void> {
    if (this.flushing) return;
    this.flushing = true;
    try {
      for (;;) {
        await this.port.writable();
        for (let parts = this.reports[0]; parts; parts = this.reports[0]) {
          if (!this.port.send(...parts)) break;
          this.reports.shift();
        }
        if (this.reports.length === 0) break;
      }
    } catch {
      // the port closed; onclose ends the link
    } finally {
      this.flushing = false;
    }
    for (const s of [...this.streams.values()]) s.again();
  }

  private take(f: Frame): void {
    switch (f.kind) {
      case L.NET_START: this.begin(f); return;
      case L.NET_DIAL: this.dial(f); return;
      case L.NET_UNDIAL: this.dials.get(f.id)?.abort(); return;
      case L.NET_HANG_UP: this.withPeers((p) => p.hangUp(f.conn)); return;
      case L.NET_MEMBER: this.withPeers((p) => p.member(f.conn)); return;
      case L.NET_OPEN: this.open(f); return;
      case L.NET_DATA: case L.NET_CREDIT: case L.NET_END: case L.NET_RESET: {
        if (f.kind === L.NET_RESET) this.opening.get(f.id)?.abort();
        this.streams.get(f.id)?.take(f); // one that ended here may still have frames under way
        return;
      }
      default: throw new Invalid('the kernel sends what only the worker says');
    }
  }

  private begin(f: Frame): void {
    if (this.peers || f.value !== L.NET_VERSION) throw new Invalid('the kernel starts twice, or is of another version');
    const { key, rest } = splitNamed(f.payload);
    this.peers = this.start(key, rest.split('\n').filter((p) => p !== ''), this);
    this.peers.catch((e: unknown) => { this.log(`libp2p does not start: ${String(e)}`); this.port.close(); });
  }

  private withPeers(fn: (p: Peers) => void): void {
    if (!this.peers) throw new Invalid('the kernel does not start first');
    this.peers.then(fn, () => undefined);
  }

  private dial(f: Frame): void {
    const { key, rest } = splitNamed(f.payload), abort = new AbortController(), id = f.id;
    this.dials.set(id, abort);
    const done = (code: number, words: string): void => {
      if (this.dials.delete(id)) this.tell(encodeHead(L.NET_DIALED, { id, code }), writeText(words));
    };
    this.withPeers((p) => {
      p.dial(key, rest.split('\n').filter((a) => a !== ''), abort.signal).then(() => done(0, ''), (e: unknown) => done(...why(e)));
    });
  }

  private open(f: Frame): void {
    const { key, rest } = splitNamed(f.payload), id = f.id, abort = new AbortController();
    if (id % 2 !== 1 || this.streams.has(id) || this.opening.has(id)) throw new Invalid('the kernel numbers a stream wrongly');
    this.opening.set(id, abort);
    this.withPeers((p) => {
      p.open(key, rest, abort.signal).then(({ wire, conn }) => {
        if (!this.opening.delete(id) || abort.signal.aborted || this.over || this.streams.size >= L.NET_MAX_STREAMS) {
          wire.abort(new Error('nobody waits for the stream'));
          if (!abort.signal.aborted) this.tell(encodeHead(L.NET_RESET, { id, code: L.NET_FULL }), writeText('too many streams are open'));
          return;
        }
        this.tell(encodeHead(L.NET_OPENED, { id, conn }));
        this.streams.set(id, new PeerStream(this, id, conn, wire));
      }, (e: unknown) => {
        const [code, words] = why(e);
        if (this.opening.delete(id) && !abort.signal.aborted) this.tell(encodeHead(L.NET_RESET, { id, code }), writeText(words));
      });
    });
  }

  private async end(): Promise<void> {
    if (this.over) return;
    this.over = true;
    for (const a of [...this.dials.values(), ...this.opening.values()]) a.abort();
    for (const s of this.streams.values()) s.abort();
    this.streams.clear();
    await this.peers?.then((p) => p.stop(), () => undefined);
  }
}

/** why turns an error into a code and words. */
function why(e: unknown): [number, string] {
  if (e instanceof Refusal) return [e.code, e.message];
  if (e instanceof AggregateError) return [L.NET_UNAVAILABLE, e.errors.map(String).join('; ').slice(0, 400)];
  return [L.NET_UNAVAILABLE, (e instanceof Error ? e.message : String(e)).slice(0, 400)];
}

