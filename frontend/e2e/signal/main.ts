// Two workers pass a message back and forth over a port of shared memory: the time of one way is a signal.
import { newPair } from '../../src/bridge/pair.ts';
import { transfers } from '../../src/bridge/port.ts';

declare global { interface Window { signal(turns: number): Promise<number> } }

/** signal is the median of one way in microseconds. */
window.signal = (turns) => new Promise((ok) => {
  const [one, other] = newPair();
  const start = (end: typeof one, first: boolean): Worker => {
    const w = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    w.postMessage({ end, first, turns }, transfers(end));
    return w;
  };
  start(other, false);
  start(one, true).onmessage = (e: MessageEvent<number>) => ok(e.data);
});
