// RTCPeerConnection for a worker: what libp2p calls on it happens on the page, and the data channels come over
// to the worker. See rtcwire.ts.
import type { Answer, Ask, Method } from './rtcwire.ts';

let page: MessagePort | undefined;
let lastPc = 0, lastCall = 0, lastChannel = 0;
const connections = new Map<number, RemoteConnection>();
const calls = new Map<number, { ok: (v: unknown) => void; fail: (e: Error) => void }>();

/** useRtc says where the page listens. Once, before the first connection. */
export function useRtc(port: MessagePort): void {
  page = port;
  port.onmessage = (e: MessageEvent<Answer>) => take(e.data);
}

const tell = (ask: Ask): void => { page?.postMessage(ask); };

function take(a: Answer): void {
  if (a.op === 'result') {
    const c = calls.get(a.call);
    calls.delete(a.call);
    if (a.error !== undefined) c?.fail(new Error(a.error)); else c?.ok(a.value);
    return;
  }
  connections.get(a.pc)?.take(a);
}

/** Handled adds on... properties to an EventTarget, as the browser's classes have them. */
class Handled extends EventTarget {
  [handler: `on${string}`]: ((e: never) => unknown) | null | undefined;

  protected fire(e: Event): void {
    const fn = (this as unknown as Record<string, unknown>)[`on${e.type}`];
    if (typeof fn === 'function') fn.call(this, e);
    this.dispatchEvent(e);
  }
}

const event = (type: string, fields: object = {}): Event => Object.assign(new Event(type), fields);

/** RemoteConnection is a connection that the page holds. */
export class RemoteConnection extends Handled {
  connectionState: RTCPeerConnectionState = 'new';
  iceConnectionState: RTCIceConnectionState = 'new';
  signalingState: RTCSignalingState = 'stable';
  localDescription: RTCSessionDescriptionInit | null = null;
  private readonly pc = ++lastPc;
  private readonly channels = new Map<number, RemoteChannel>();

  constructor(configuration: RTCConfiguration = {}) {
    super();
    connections.set(this.pc, this);
    // The page's browser makes the certificate: it is of the kind that generateCertificate was asked for.
    const { certificates: _, ...rest } = configuration;
    tell({ op: 'new', pc: this.pc, configuration: rest });
  }

  /** generateCertificate returns a stand-in; see the constructor. */
  static generateCertificate(): Promise<object> { return Promise.resolve({}); }

  createOffer(): Promise<unknown> { return this.call('createOffer'); }
  createAnswer(): Promise<unknown> { return this.call('createAnswer'); }
  async setLocalDescription(d: RTCSessionDescriptionInit): Promise<void> {
    await this.call('setLocalDescription', { type: d.type, sdp: d.sdp });
    this.localDescription = { type: d.type, sdp: d.sdp };
  }
  setRemoteDescription(d: RTCSessionDescriptionInit): Promise<unknown> { return this.call('setRemoteDescription', { type: d.type, sdp: d.sdp }); }
  addIceCandidate(c: RTCIceCandidateInit): Promise<unknown> { return this.call('addIceCandidate', { ...c }); }

  /** createDataChannel returns a stand-in at once; the channel itself takes its place when it comes over. */
  createDataChannel(label: string, init: RTCDataChannelInit = {}): RemoteChannel {
    const id = ++lastChannel, c = new RemoteChannel(label, init.protocol ?? '');
    this.channels.set(id, c);
    tell({ op: 'channel', pc: this.pc, channel: id, label, init });
    return c;
  }

  close(): void {
    if (!connections.delete(this.pc)) return;
    tell({ op: 'close', pc: this.pc });
    this.connectionState = 'closed';
    this.signalingState = 'closed';
    for (const c of this.channels.values()) c.lost();
    this.channels.clear();
    // As in browsers, who closes a connection hears of it: libp2p waits for it.
    queueMicrotask(() => { this.fire(event('connectionstatechange')); this.fire(event('close')); });
  }

  /** take acts on what the page says about this connection. */
  take(a: Exclude<Answer, { op: 'result' }>): void {
    switch (a.op) {
      case 'state': {
        const changed = a.connection !== this.connectionState;
        this.iceConnectionState = a.ice;
        this.signalingState = a.signaling;
        this.connectionState = a.connection;
        if (changed) this.fire(event('connectionstatechange'));
        return;
      }
      case 'candidate':
        this.fire(event('icecandidate', { candidate: a.candidate && { ...a.candidate, toJSON: () => a.candidate } }));
        return;
      case 'opened':
        this.channels.get(a.channel)?.become(a.real);
        this.channels.delete(a.channel);
        return;
      case 'incoming':
        this.fire(event('datachannel', { channel: a.real }));
    }
  }

  private call(method: Method, ...args: unknown[]): Promise<unknown> {
    const call = ++lastCall;
    return new Promise((ok, fail) => {
      calls.set(call, { ok, fail });
      tell({ op: 'call', pc: this.pc, call, method, args });
    });
  }
}

/** RemoteChannel is a data channel on its way from the page, and the channel itself after that. */
export class RemoteChannel extends Handled {
  binaryType: BinaryType = 'arraybuffer';
  bufferedAmountLowThreshold = 0;
  private real: RTCDataChannel | undefined;
  private over = false;

  constructor(readonly label: string, readonly protocol: string) { super(); }

  get id(): number | null { return this.real?.id ?? null; }
  get readyState(): RTCDataChannelState { return this.over ? 'closed' : this.real?.readyState ?? 'connecting'; }
  get bufferedAmount(): number { return this.real?.bufferedAmount ?? 0; }

  send(b: Uint8Array<ArrayBuffer>): void {
    if (!this.real) throw new Error('the channel is not open yet');
    this.real.send(b);
  }

  close(): void { if (this.real) this.real.close(); else this.lost(); }

  /** become puts the real channel in place. */
  become(real: RTCDataChannel): void {
    if (this.over) { real.close(); return; }
    this.real = real;
    real.binaryType = this.binaryType;
    real.bufferedAmountLowThreshold = this.bufferedAmountLowThreshold;
    real.onopen = () => this.fire(event('open'));
    real.onclose = () => this.fire(event('close'));
    real.onerror = (e) => this.fire(event('error', { error: (e as RTCErrorEvent).error }));
    real.onmessage = (e: MessageEvent) => this.fire(new MessageEvent('message', { data: e.data as unknown }));
    real.onbufferedamountlow = () => this.fire(event('bufferedamountlow'));
    if (real.readyState === 'open') this.fire(event('open'));
  }

  /** lost ends a channel whose connection is gone. */
  lost(): void {
    if (this.over) return;
    this.over = true;
    this.fire(event('close'));
  }
}
