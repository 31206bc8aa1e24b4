// Running the node in this tab: the kernel is started, shared with the other tabs, and started again when it crashes.
import { bootKernel, type BootOptions, type Kernel } from './boot.ts';
import { Calls } from './calls.ts';
import { Hub } from './hub.ts';
import type { TabSettings } from './types.ts';

/** Restarts wait longer each time; a kernel that ran for SOUND_MS begins anew. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
const SOUND_MS = 60_000;

/** HostOptions are what running the node takes. */
export interface HostOptions {
  channel: BroadcastChannel;
  boot: Omit<BootOptions, 'settings'> & { settings: () => TabSettings };
  up: (calls: Calls) => void;                       // a kernel answers
  down: (reason: string, again: boolean) => void;   // it ended; again says that it is started anew
  signal: AbortSignal;                              // ends it for good
}

/** Hosted is the node of this tab. */
export interface Hosted {
  arena(): SharedArrayBuffer | undefined;
  sensor(name: string, sensor: number, on: boolean): void; // tells the kernel
  done: Promise<void>; // settles when signal ended it
}

/** hostOf runs kernels until signal. */
export function hostOf(o: HostOptions): Hosted {
  let kernel: Kernel | undefined;
  o.signal.addEventListener('abort', () => kernel?.stop());
  const live = async (): Promise<void> => {
    let wait = FIRST_WAIT_MS;
    while (!o.signal.aborted) {
      const began = performance.now();
      let reason: string;
      try {
        kernel = await bootKernel({ ...o.boot, settings: o.boot.settings() });
        if (o.signal.aborted) { kernel.stop(); break; }
        const hub = new Hub(kernel.port, o.channel);
        o.up(new Calls(hub.wire));
        reason = await kernel.ended;
        hub.end(reason);
        kernel.stop();
      } catch (e) {
        reason = e instanceof Error ? e.message : String(e);
      }
      if (o.signal.aborted) break;
      if (performance.now() - began > SOUND_MS) wait = FIRST_WAIT_MS;
      o.down(reason, true);
      await new Promise((ok) => setTimeout(ok, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    }
    o.channel.close();
  };
  return { arena: () => kernel?.arena, sensor: (name, sensor, on) => kernel?.sensor(name, sensor, on), done: live() };
}
