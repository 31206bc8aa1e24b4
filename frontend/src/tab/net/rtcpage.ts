// The page's side of WebRTC for the network worker: see rtcwire.ts.
import { MAX_CONNECTIONS, METHODS, type Answer, type Ask } from './rtcwire.ts';

/** serveRtc does what the worker asks over the port until it is closed; the returned function ends it. */
export function serveRtc(port: MessagePort): () => void {
  const held = new Map<number, RTCPeerConnection>();
  const tell = (a: Answer, ...transfer: unknown[]): void => port.postMessage(a, transfer as Transferable[]);

  const make = (pc: number, configuration: RTCConfiguration): void => {
    if (held.size >= MAX_CONNECTIONS) { tell({ op: 'state', pc, connection: 'failed', ice: 'failed', signaling: 'closed' }); return; }
    const c = new RTCPeerConnection(configuration);
    held.set(pc, c);
    c.onicecandidate = (e) => tell({ op: 'candidate', pc, candidate: e.candidate?.toJSON() ?? null });
    let watched = false;
    c.onconnectionstatechange = c.onsignalingstatechange = () => {
      tell({ op: 'state', pc, connection: c.connectionState, ice: c.iceConnectionState, signaling: c.signalingState });
      if (c.connectionState === 'closed' || c.connectionState === 'failed') drop(pc);
      // A peer that closes says so in SCTP and DTLS at once; the connection itself would wait 20 s for it to answer.
      if (c.connectionState !== 'connected' || watched || !c.sctp) return;
      watched = true;
      const over = (): void => {
        if (c.sctp?.state !== 'closed' && c.sctp?.transport.state !== 'closed') return;
        tell({ op: 'state', pc, connection: 'closed', ice: 'closed', signaling: 'closed' });
        drop(pc);
      };
      c.sctp.addEventListener('statechange', over);
      c.sctp.transport.addEventListener('statechange', over);
    };
    c.ondatachannel = (e) => tell({ op: 'incoming', pc, real: e.channel }, e.channel); // at once: one that was used stays here
  };

  const drop = (pc: number): void => {
    const c = held.get(pc);
    held.delete(pc);
    c?.close();
  };

  const call = async (c: RTCPeerConnection | undefined, ask: Ask & { op: 'call' }): Promise<void> => {
    try {
      if (!c || !METHODS.includes(ask.method)) throw new Error('the connection is closed');
      const fn = c[ask.method] as (...args: unknown[]) => Promise<RTCSessionDescriptionInit | undefined>;
      const v = await fn.apply(c, ask.args);
      tell({ op: 'result', call: ask.call, value: v ? { type: v.type, sdp: v.sdp } : undefined });
    } catch (e) {
      tell({ op: 'result', call: ask.call, error: e instanceof Error ? e.message : String(e) });
    }
  };

  port.onmessage = (e: MessageEvent<Ask>) => {
    const ask = e.data, c = held.get(ask.pc);
    switch (ask.op) {
      case 'new': make(ask.pc, ask.configuration); return;
      case 'close': drop(ask.pc); return;
      case 'call': void call(c, ask); return;
      case 'channel':
        if (c && c.signalingState !== 'closed') {
          const real = c.createDataChannel(ask.label, ask.init);
          tell({ op: 'opened', pc: ask.pc, channel: ask.channel, real }, real);
        }
    }
  };
  return () => { port.close(); for (const pc of [...held.keys()]) drop(pc); };
}
