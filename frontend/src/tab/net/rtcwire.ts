// What the network worker and the page say about WebRTC. Browsers have RTCPeerConnection on pages alone, but a
// data channel can be transferred: so the page holds the connections and does as it is told, and the bytes
// never touch its thread.

/** Ask is from the worker. `call` is answered by an Answer of the same number. */
export type Ask =
  | { op: 'new'; pc: number; configuration: RTCConfiguration }
  | { op: 'channel'; pc: number; channel: number; label: string; init: RTCDataChannelInit }
  | { op: 'call'; pc: number; call: number; method: Method; args: unknown[] }
  | { op: 'close'; pc: number };

/** METHODS are what may be called: all that libp2p uses, and nothing of the page's else. */
export const METHODS = ['createOffer', 'createAnswer', 'setLocalDescription', 'setRemoteDescription', 'addIceCandidate'] as const;
export type Method = typeof METHODS[number];

/** Answer is from the page. */
export type Answer =
  | { op: 'result'; call: number; value?: unknown; error?: string }
  | { op: 'state'; pc: number; connection: RTCPeerConnectionState; ice: RTCIceConnectionState; signaling: RTCSignalingState }
  | { op: 'candidate'; pc: number; candidate: RTCIceCandidateInit | null }
  | { op: 'opened'; pc: number; channel: number; real: RTCDataChannel }
  | { op: 'incoming'; pc: number; real: RTCDataChannel };

/** MAX_CONNECTIONS bounds the peer connections that a page holds for its worker. */
export const MAX_CONNECTIONS = 64;
