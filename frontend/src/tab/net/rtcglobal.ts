// libp2p takes WebRTC's classes from the global scope when it is loaded; workers have none.
import { RemoteConnection } from './rtc.ts';

interface Plain { [key: string]: unknown }

/** PlainInit stands for RTCSessionDescription and RTCIceCandidate, which are only data here. */
class PlainInit {
  constructor(init: Plain) { Object.assign(this, init); }
  toJSON(): object { return { ...this }; }
}

const scope = globalThis as unknown as Plain;
scope.RTCPeerConnection ??= RemoteConnection;
scope.RTCSessionDescription ??= PlainInit;
scope.RTCIceCandidate ??= PlainInit;
