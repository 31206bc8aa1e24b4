// The network worker, from the page's side: a thread with js-libp2p, and WebRTC, which only a page has.
import { newPair } from '../bridge/pair.ts';
import { transfers, type PortEnd } from '../bridge/port.ts';
import type { NetBoot } from './net/net.worker.ts';
import { serveRtc } from './net/rtcpage.ts';

/** Network is a running network worker. */
export interface Network {
  end: PortEnd; // the kernel's end of the port to it
  stop(): void;
}

/** startNetwork starts one. It serves one network host of the kernel, and ends with it. It throws when the tab has no memory or thread for it. */
export function startNetwork(): Network {
  const [kernel, worker] = newPair();
  const rtc = typeof RTCPeerConnection === 'function' ? new MessageChannel() : undefined;
  const thread = new Worker(new URL('./net/net.worker.ts', import.meta.url), { type: 'module', name: 'inos-network' });
  const served = rtc && serveRtc(rtc.port1);
  const boot: NetBoot = { port: worker, ...(rtc ? { rtc: rtc.port2 } : {}) };
  const stop = (): void => { thread.terminate(); served?.(); };
  try {
    thread.postMessage(boot, [...transfers(worker), ...(rtc ? [rtc.port2] : [])]);
  } catch (e) {
    stop();
    throw e;
  }
  return { end: kernel, stop };
}
