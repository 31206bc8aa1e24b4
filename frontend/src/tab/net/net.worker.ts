// The network worker of a tab. The page starts it and sends one message, NetBoot.
import './rtcglobal.ts'; // before libp2p looks for WebRTC
import { openPort, type PortEnd } from '../../bridge/port.ts';
import { startHost } from './host.ts';
import { Link } from './mux.ts';
import { useRtc } from './rtc.ts';

/** NetBoot is the first message: the port to the kernel, and where the page has WebRTC for this worker. */
export interface NetBoot { port: PortEnd; rtc?: MessagePort }

globalThis.onmessage = (e: MessageEvent<NetBoot>) => {
  const boot = e.data;
  globalThis.onmessage = null;
  if (boot.rtc) useRtc(boot.rtc);
  new Link(openPort(boot.port), (seed, protocols, reports) => startHost(seed, protocols, reports, { rtc: boot.rtc !== undefined }), (what) => console.warn(`network: ${what}`));
};
