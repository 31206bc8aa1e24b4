// Rings carry messages between two threads through shared memory: the same bytes as package ring
// of the kernel, whose comment gives the format and the invariants. One thread has one end.
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import type { Memory } from './memory.ts';

/** Ring is where a ring lies: its control block and its data, as offsets. */
export interface Ring { control: number; data: number; capacity: number; maxMessage: number }

/** Broken says that the other end stored what cannot be, or started over. */
export class Broken extends Error {}

const GENERATION = 32n;
const POSITION = 0xffffffffn;
const word = (generation: number, position: number): bigint => (BigInt(generation) << GENERATION) | BigInt(position >>> 0);
const frameBytes = (n: number): number => L.RING_FRAME_SIZE + ((n + 7) & ~7);

/** formatRing makes an empty ring; no end is in use. capacity is a power of two from 64 bytes on. */
export function formatRing(m: Memory, ring: Ring): void {
  const c = ring.control;
  m.store64(c + L.RING_CONTROL_AT_TAIL, word(1, 0));
  m.store64(c + L.RING_CONTROL_AT_HEAD, word(1, 0));
  m.store32(c + L.RING_CONTROL_AT_CAPACITY, ring.capacity);
  m.store32(c + L.RING_CONTROL_AT_MAX_MESSAGE, ring.maxMessage);
  m.store32(c + L.RING_CONTROL_AT_GENERATION, 1);
  m.store32(c + L.RING_CONTROL_AT_MAGIC, L.RING_MAGIC);
}

/** closeRing ends a ring for both ends: each finds it Broken when it next looks, and whoever sleeps looks now. */
export function closeRing(m: Memory, ring: Ring): void {
  m.add32(ring.control + L.RING_CONTROL_AT_GENERATION, 1);
  m.advance(ring.control + L.RING_CONTROL_AT_DATA);
  m.advance(ring.control + L.RING_CONTROL_AT_SPACE);
}

class End {
  protected readonly generation: number;
  constructor(readonly m: Memory, readonly ring: Ring) {
    if (m.load32(ring.control + L.RING_CONTROL_AT_MAGIC) !== L.RING_MAGIC) throw new Broken('no ring is formatted here');
    this.generation = m.load32(ring.control + L.RING_CONTROL_AT_GENERATION);
  }

  /** position reads the head or the tail and checks that it belongs to this life of the ring. */
  protected position(at: number): number {
    if (this.m.load32(this.ring.control + L.RING_CONTROL_AT_GENERATION) !== this.generation) throw new Broken('the other end closed the ring');
    const w = this.m.load64(this.ring.control + at);
    if (Number(w >> GENERATION) !== this.generation) throw new Broken('the other end of the ring started over');
    return Number(w & POSITION);
  }
}

/** RingWriter is the sending end. */
export class RingWriter extends End {
  private tail = this.position(L.RING_CONTROL_AT_TAIL);
  private head = this.position(L.RING_CONTROL_AT_HEAD);

  /** room says whether a message of n bytes fits now. */
  room(n: number): boolean {
    const free = (): number => this.ring.capacity - ((this.tail - this.head) >>> 0);
    if (free() >= frameBytes(n)) return true;
    const head = this.position(L.RING_CONTROL_AT_HEAD);
    if (((this.tail - head) >>> 0) > ((this.tail - this.head) >>> 0)) throw new Broken('the reader of a ring moved backwards');
    this.head = head;
    return free() >= frameBytes(n);
  }

  /** trySend copies one message made of parts into the ring, or returns false for want of room. */
  trySend(parts: Uint8Array[]): boolean {
    let n = 0;
    for (const p of parts) n += p.length;
    if (n === 0 || n > this.ring.maxMessage) throw new RangeError(`a message has 1 to ${this.ring.maxMessage} bytes, this one ${n}`);
    if (!this.room(n)) return false;
    const mask = this.ring.capacity - 1;
    this.m.longs[(this.ring.data + (this.tail & mask)) >>> 3] = BigInt.asIntN(64, word(this.generation, n));
    let at = (this.tail + L.RING_FRAME_SIZE) >>> 0;
    for (const p of parts) {
      const begin = at & mask;
      const first = Math.min(p.length, this.ring.capacity - begin);
      this.m.bytes.set(first === p.length ? p : p.subarray(0, first), this.ring.data + begin);
      if (first < p.length) this.m.bytes.set(p.subarray(first), this.ring.data);
      at = (at + p.length) >>> 0;
    }
    this.tail = (this.tail + frameBytes(n)) >>> 0;
    this.m.store64(this.ring.control + L.RING_CONTROL_AT_TAIL, word(this.generation, this.tail));
    this.m.signal(this.ring.control + L.RING_CONTROL_AT_DATA);
    return true;
  }

  /** freed resolves when there may be room for n bytes. */
  freed(n: number): Promise<void> { return this.m.sleep(this.ring.control + L.RING_CONTROL_AT_SPACE, () => this.room(n)); }

  /** blockFreed is freed for a thread that may stop. */
  blockFreed(n: number, timeoutMs: number): void { this.m.block(this.ring.control + L.RING_CONTROL_AT_SPACE, () => this.room(n), timeoutMs); }
}

/** RingReader is the receiving end. */
export class RingReader extends End {
  private head = this.position(L.RING_CONTROL_AT_HEAD);
  private tail = this.head;

  /** waiting says whether a message is there. */
  waiting(): boolean {
    if (this.head !== this.tail) return true;
    const tail = this.position(L.RING_CONTROL_AT_TAIL);
    if (((tail - this.head) >>> 0) > this.ring.capacity) throw new Broken('the writer of a ring ran ahead');
    this.tail = tail;
    return this.head !== tail;
  }

  /** tryReceive copies the next message to the beginning of into, which has maxMessage bytes, and returns its length; 0 for none. */
  tryReceive(into: Uint8Array): number {
    if (!this.waiting()) return 0;
    const mask = this.ring.capacity - 1;
    const frame = BigInt.asUintN(64, this.m.longs[(this.ring.data + (this.head & mask)) >>> 3] ?? 0n);
    const n = Number(frame & POSITION);
    // The frame is the writer's claim: nothing is used before it fits.
    if (n === 0 || n > this.ring.maxMessage || frameBytes(n) > ((this.tail - this.head) >>> 0) || Number(frame >> GENERATION) !== this.generation) {
      throw new Broken('a message in a ring has an impossible length');
    }
    const begin = (this.head + L.RING_FRAME_SIZE) & mask;
    const first = Math.min(n, this.ring.capacity - begin);
    into.set(this.m.bytes.subarray(this.ring.data + begin, this.ring.data + begin + first), 0);
    if (first < n) into.set(this.m.bytes.subarray(this.ring.data, this.ring.data + n - first), first);
    this.head = (this.head + frameBytes(n)) >>> 0;
    this.m.store64(this.ring.control + L.RING_CONTROL_AT_HEAD, word(this.generation, this.head));
    this.m.signal(this.ring.control + L.RING_CONTROL_AT_SPACE);
    return n;
  }

  /** filled resolves when a message may be there. */
  filled(): Promise<void> { return this.m.sleep(this.ring.control + L.RING_CONTROL_AT_DATA, () => this.waiting()); }

  /** blockFilled is filled for a thread that may stop. */
  blockFilled(timeoutMs: number): void { this.m.block(this.ring.control + L.RING_CONTROL_AT_DATA, () => this.waiting(), timeoutMs); }
}
