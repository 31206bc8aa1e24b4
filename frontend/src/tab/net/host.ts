// js-libp2p in the network worker: WebTransport, WebSocket and then WebRTC-direct to native nodes, WebRTC to other tabs, whose
// handshake a member relays. It dials on the kernel's word alone, and rests otherwise.
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Connection, PeerId, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { webRTC, webRTCDirect } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { webTransport } from '@libp2p/webtransport';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import * as L from '../../../../protocols/gen/layout/ts/layout.ts';
import { credited, TAB_PREFIX } from './credited.ts';
import { Budget, budgeted } from './direct.ts';
import { Refusal, type Peers, type Reports } from './mux.ts';
import type { Wire } from './stream.ts';
import { wireOf } from './wire.ts';

/** Bounds of one tab. */
const MAX_CONNECTIONS = 128;
const MAX_RELAYS = 2;           // members that other tabs reach this one through
const STREAMS_PER_PROTOCOL = 64; // of one connection and direction
const STREAM_WINDOW = 2 << 20;  // what a yamux stream may bring before it is read
const STREAM_BUFFER = 16 << 20; // what waits of one at most: each resume gives a window before what waited is taken, and libp2p gives up on a stream beyond this
const ADDRESS_MS = 4000;        // for one address of a node: libp2p tries them one after another, and a relay may have died unnoticed
const FALLBACK_MS = 1500;       // WebTransport is tried for this long before WebSocket joins in

/** Settings of a host, for tests. */
export interface HostSettings { rtc: boolean }

/** startHost makes libp2p with the node's key. */
export async function startHost(seed: Uint8Array, protocols: string[], reports: Reports, settings: HostSettings): Promise<Peers> {
  const key = await generateKeyPairFromSeed('Ed25519', seed);
  const node = await createLibp2p(options(key, settings));
  const host = new NetHost(node, protocols, reports, settings);
  await host.begin();
  return host;
}

const rtcOptions = { rtcConfiguration: { iceServers: [] } }; // no stranger's STUN server

const options = (privateKey: PrivateKey, settings: HostSettings) => ({
  privateKey,
  nodeInfo: { name: 'inos', version: '', userAgent: 'inos' },
  addresses: { listen: settings.rtc ? ['/webrtc'] : [] },
  transports: [
    webTransport(), webSockets(),
    ...(settings.rtc ? [circuitRelayTransport(), webRTC(rtcOptions), webRTCDirect(rtcOptions)] : []),
  ],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW, maxReadBufferLength: STREAM_BUFFER } })],
  connectionGater: { denyDialMultiaddr: () => false }, // the kernel's addresses may be private: the mesh is often a home's
  connectionManager: { maxConnections: MAX_CONNECTIONS, reconnectRetries: 0, addressDialTimeout: ADDRESS_MS },
  connectionMonitor: { enabled: false }, // yamux and QUIC notice a dead peer themselves
  services: { identify: identify() },
});

class NetHost implements Peers {
  private readonly numbers = new Map<Connection, number>();
  private readonly conns = new Map<number, Connection>();
  private readonly relays = new Set<string>(); // peer ids; at most MAX_RELAYS
  private readonly budgets = new WeakMap<Connection, Budget>(); // of those over WebRTC-direct
  private last = 0;

  constructor(private readonly node: Libp2p, private readonly protocols: string[], private readonly reports: Reports, private readonly settings: HostSettings) {}

  async begin(): Promise<void> {
    this.node.addEventListener('connection:open', (e) => this.number(e.detail));
    this.node.addEventListener('connection:close', (e) => this.closed(e.detail));
    this.node.addEventListener('self:peer:update', () => this.reports.addrs(this.announced()));
    for (const protocol of this.protocols) {
      for (const inPieces of [false, true]) {
        await this.node.handle(nameOf(protocol, inPieces), (stream, connection) => {
          const conn = this.number(connection);
          if (conn === 0 || isRtc(connection.remoteAddr) !== inPieces) { stream.abort(new Error('not over this connection')); return; }
          this.reports.accept(conn, protocol, this.wireOn(connection, stream));
        }, { maxInboundStreams: STREAMS_PER_PROTOCOL, maxOutboundStreams: STREAMS_PER_PROTOCOL });
      }
    }
  }

  async dial(key: Uint8Array, addrs: string[], signal: AbortSignal): Promise<void> {
    const peer = peerOf(key);
    if (peer.equals(this.node.peerId)) throw new Refusal(L.NET_OWN_KEY, 'the node there has this node\'s own key');
    const standing = this.direct(peer);
    if (standing) { this.number(standing); return; }
    const ways = this.ways(peer, addrs);
    if (ways.length === 0) throw new Refusal(L.NET_UNAVAILABLE, 'no address that a browser tab can dial');
    const c = await firstOf(ways, (list, s) => this.node.dial(list, { signal: s, force: true }), signal);
    if (!c.remotePeer.equals(peer)) { c.abort(new Error('another node answers there')); throw new Refusal(L.NET_UNAVAILABLE, 'another node answers at that address'); }
    if (this.number(c) === 0) throw new Refusal(L.NET_UNAVAILABLE, 'only a relay leads to that node');
  }

  async open(key: Uint8Array, protocol: string, signal: AbortSignal) {
    const peer = peerOf(key), c = this.direct(peer);
    if (!c) throw new Refusal(L.NET_UNAVAILABLE, 'the node is not connected');
    const stream = await c.newStream(nameOf(protocol, isRtc(c.remoteAddr)), { signal, maxOutboundStreams: STREAMS_PER_PROTOCOL });
    const conn = this.number(c);
    if (conn === 0) { // it closed meanwhile
      stream.abort(new Error('the connection is lost'));
      throw new Refusal(L.NET_UNAVAILABLE, 'the connection was lost while the stream was opened');
    }
    return { wire: this.wireOn(c, stream), conn };
  }

  hangUp(conn: number): void { this.conns.get(conn)?.abort(new Error('the kernel hung up')); }

  /** member asks for a place in a member's relay, over which other tabs can begin a handshake. */
  member(conn: number): void {
    const c = this.conns.get(conn), relay = c?.remotePeer.toString();
    if (!this.settings.rtc || !c || !relay || this.relays.has(relay) || this.relays.size >= MAX_RELAYS || isRtc(c.remoteAddr)) return;
    this.relays.add(relay);
    const manager = (this.node as unknown as { components: { transportManager: { listen(a: Multiaddr[]): Promise<void> } } }).components.transportManager;
    manager.listen([multiaddr(`${c.remoteAddr.toString()}/p2p-circuit`)]).then(
      () => this.reports.addrs(this.announced()),
      () => { this.relays.delete(relay); }); // a member that does not relay; another may
  }

  async stop(): Promise<void> { await this.node.stop(); }

  /** wireOn wraps a stream as its connection needs it: over WebRTC nothing makes a sender wait. Two tabs give each
   * other credit; what a native node sends by WebRTC-direct, the last resort, must find room here. */
  private wireOn(c: Connection, stream: Stream): Wire {
    if (isRtc(c.remoteAddr)) return credited(wireOf(stream));
    if (!c.remoteAddr.getComponents().some((p) => p.name === 'webrtc-direct')) return wireOf(stream);
    let budget = this.budgets.get(c);
    if (!budget) this.budgets.set(c, budget = new Budget());
    return budgeted(wireOf(stream), budget);
  }

  /** ways sorts the addresses a tab can dial into tries, the better first. */
  private ways(peer: PeerId, addrs: string[]): Multiaddr[][] {
    const full = addrs.flatMap((a) => {
      try {
        const m = multiaddr(a), last = m.getComponents().at(-1);
        return [last?.name === 'p2p' && !a.endsWith('/p2p-circuit') ? m : m.encapsulate(`/p2p/${peer.toString()}`)];
      } catch {
        return [];
      }
    });
    const via = (name: string): Multiaddr[] => full.filter((m) => m.getComponents().some((c) => c.name === name));
    const rtc = this.settings.rtc ? [via('webrtc-direct'), via('webrtc')] : [];
    return [via('webtransport'), [...via('ws'), ...via('wss')], ...rtc].filter((w) => w.length > 0);
  }

  /** direct returns a connection that is no relay's. */
  private direct(peer: PeerId): Connection | undefined {
    return this.node.getConnections(peer).find((c) => c.status === 'open' && !relayed(c));
  }

  /** number reports a connection the first time it is seen; 0 for one over a relay, which only carries handshakes. */
  private number(c: Connection): number {
    const known = this.numbers.get(c);
    if (known !== undefined) return known;
    const raw = c.remotePeer.type === 'Ed25519' ? c.remotePeer.publicKey.raw : undefined;
    if (relayed(c) || c.status !== 'open') return 0;
    if (!raw) { c.abort(new Error('no node of a mesh')); return 0; }
    const n = ++this.last;
    this.numbers.set(c, n);
    this.conns.set(n, c);
    this.reports.connected(n, raw, withoutPeer(c.remoteAddr), c.direction === 'inbound');
    return n;
  }

  private closed(c: Connection): void {
    const n = this.numbers.get(c);
    if (n === undefined) return;
    this.numbers.delete(c);
    this.conns.delete(n);
    if (!this.direct(c.remotePeer)) this.relays.delete(c.remotePeer.toString());
    this.reports.gone(n);
  }

  /** announced is how other tabs reach this one: through a relay they are connected to, so without its address. */
  private announced(): string[] {
    const list = this.node.getMultiaddrs().filter(isRtc).map((m) => {
      const relay = m.getComponents().find((c) => c.name === 'p2p')?.value;
      return relay ? `/p2p/${relay}/p2p-circuit/webrtc` : '';
    });
    return [...new Set(list)].filter((a) => a !== '');
  }
}

const nameOf = (protocol: string, inPieces: boolean): string => (inPieces ? TAB_PREFIX + protocol : protocol);
const peerOf = (key: Uint8Array): PeerId => peerIdFromPublicKey(publicKeyFromRaw(key));
const isRtc = (m: Multiaddr): boolean => m.getComponents().some((c) => c.name === 'webrtc');
const relayed = (c: Connection): boolean => c.limits !== undefined || (!isRtc(c.remoteAddr) && c.remoteAddr.getComponents().some((p) => p.name === 'p2p-circuit'));
const withoutPeer = (m: Multiaddr): string => m.toString().replace(/\/p2p\/[^/]+$/, '');

/**
 * firstOf tries the ways one after another, each FALLBACK_MS after the one before or as soon as that failed, and
 * returns the first connection. The others are called off.
 */
async function firstOf<W, C>(ways: W[], dial: (way: W, signal: AbortSignal) => Promise<C>, outer: AbortSignal): Promise<C> {
  const stop = new AbortController(), signal = AbortSignal.any([outer, stop.signal]);
  const errors: unknown[] = [];
  try {
    return await new Promise<C>((ok, fail) => {
      let left = ways.length;
      const begin = (i: number): void => {
        const way = ways[i];
        if (way === undefined || signal.aborted) return;
        let next: (() => void) | undefined = () => begin(i + 1);
        const timer = setTimeout(() => { next?.(); next = undefined; }, FALLBACK_MS);
        dial(way, signal).then(ok, (e: unknown) => {
          clearTimeout(timer);
          errors.push(e);
          if (--left === 0) fail(errors.length === 1 ? e : new AggregateError(errors));
          next?.();
          next = undefined;
        });
      };
      outer.addEventListener('abort', () => fail(new Error('nobody waits for the connection')), { once: true });
      begin(0);
    });
  } finally {
    stop.abort();
  }
}
