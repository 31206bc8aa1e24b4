// A fresh channel between two threads, in memory of its own.
import { shared } from './memory.ts';
import { MAX_MESSAGE, PORT_RING, pairCopies, pairRings, type PortEnd } from './port.ts';

const CONTROL = 512;  // bytes of a ring's control block
const DATA = 4096;    // where the rings' bytes begin

/** newPair makes a channel: two rings where memory can be shared, a MessagePort otherwise. */
export function newPair(): [PortEnd, PortEnd] {
  if (!shared()) return pairCopies();
  const memory = new SharedArrayBuffer(DATA + 2 * PORT_RING);
  return pairRings(
    memory,
    { control: 0, data: DATA, capacity: PORT_RING, maxMessage: MAX_MESSAGE },
    { control: CONTROL, data: DATA + PORT_RING, capacity: PORT_RING, maxMessage: MAX_MESSAGE },
  );
}
