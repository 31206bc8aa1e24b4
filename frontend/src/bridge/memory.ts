// Shared memory as the threads of a tab see it: one SharedArrayBuffer with the arena's layout, its
// epoch cells, and what sleeps on them.
//
// Invariants:
//   - Words that more than one thread touches are read and written through Atomics alone.
//   - A cell is compared with !==, never <: it wraps.
//   - Who waits counts itself among the cell's sleepers before it looks again, so that an advance
//     between the look and the sleep is not lost (kernel/epoch says why).
import * as L from '../../../protocols/gen/layout/ts/layout.ts';

/** ARENA_BYTES is the size of a tab's arena: the light tier. */
export const ARENA_BYTES = Number(L.TIERS[0].size);

/** shared says whether this page may share memory between threads. */
export const shared = (): boolean => globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function';

/** Memory is one arena. Every thread makes its own over the same buffer. */
export class Memory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly longs: BigInt64Array;

  constructor(readonly buffer: SharedArrayBuffer | ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.longs = new BigInt64Array(buffer);
  }

  /** load32 reads an aligned word. */
  load32(at: number): number { return Atomics.load(this.words, at >>> 2) >>> 0; }

  /** store32 writes an aligned word. */
  store32(at: number, value: number): void { Atomics.store(this.words, at >>> 2, value | 0); }

  /** add32 adds to an aligned word. */
  add32(at: number, value: number): void { Atomics.add(this.words, at >>> 2, value); }

  /** load64 reads an aligned word of 64 bits. */
  load64(at: number): bigint { return BigInt.asUintN(64, Atomics.load(this.longs, at >>> 3)); }

  /** store64 writes an aligned word of 64 bits. */
  store64(at: number, value: bigint): void { Atomics.store(this.longs, at >>> 3, BigInt.asIntN(64, value)); }

  /** advance raises the cell at an offset and wakes whoever sleeps on it. */
  advance(cell: number): void {
    this.add32(cell + L.EPOCH_CELL_AT_VALUE, 1);
    if (this.load32(cell + L.EPOCH_CELL_AT_SLEEPERS) !== 0) this.wake(cell);
  }

  /** signal is advance for a cell that is only there to be slept on. */
  signal(cell: number): void {
    if (this.load32(cell + L.EPOCH_CELL_AT_SLEEPERS) === 0) return;
    this.add32(cell + L.EPOCH_CELL_AT_VALUE, 1);
    this.wake(cell);
  }

  /** wake ends every sleep on a cell. */
  wake(cell: number): void { Atomics.notify(this.words, (cell + L.EPOCH_CELL_AT_VALUE) >>> 2); }

  /**
   * sleep resolves once the cell differs from what it was when ready said no. It resolves at once when
   * ready says yes. It blocks no thread; it may resolve for no reason, so the caller looks again.
   */
  async sleep(cell: number, ready: () => boolean): Promise<void> {
    const value = cell + L.EPOCH_CELL_AT_VALUE;
    this.add32(cell + L.EPOCH_CELL_AT_SLEEPERS, 1);
    try {
      const seen = Atomics.load(this.words, value >>> 2);
      if (ready()) return;
      const wait = Atomics.waitAsync(this.words, value >>> 2, seen);
      if (wait.async) await wait.value;
    } finally {
      this.add32(cell + L.EPOCH_CELL_AT_SLEEPERS, -1);
    }
  }

  /** block is sleep for a thread that may stop: not the page's. It returns after timeoutMs at the latest. */
  block(cell: number, ready: () => boolean, timeoutMs: number): void {
    const value = cell + L.EPOCH_CELL_AT_VALUE;
    this.add32(cell + L.EPOCH_CELL_AT_SLEEPERS, 1);
    try {
      const seen = Atomics.load(this.words, value >>> 2);
      if (!ready()) Atomics.wait(this.words, value >>> 2, seen, timeoutMs);
    } finally {
      this.add32(cell + L.EPOCH_CELL_AT_SLEEPERS, -1);
    }
  }
}

/** cellAt is the offset of the arena's epoch cell with an index. */
export const cellAt = (index: number): number => L.EPOCHS_OFFSET + index * L.EPOCHS_STRIDE;
