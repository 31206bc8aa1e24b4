// The shared arena as the Go kernel uses it (host/browser): few crossings, and views that are made once.
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { Memory } from './memory.ts';

/** VIEWS bounds the views that are kept: making one costs as much as twenty calls. */
const VIEWS = 512;

/** KernelMemory is what Go holds. */
export class KernelMemory extends Memory {
  readonly size: number;
  private readonly views = new Map<string, Uint8Array>();
  private readonly watched = new Map<number, Set<() => void>>(); // one entry a cell that is slept on

  constructor(buffer: SharedArrayBuffer) {
    super(buffer);
    this.size = buffer.byteLength;
  }

  /** view is n bytes from an offset on. */
  view(at: number, n: number): Uint8Array {
    const key = `${at}+${n}`;
    let v = this.views.get(key);
    if (!v) {
      if (this.views.size >= VIEWS) this.views.clear();
      v = this.bytes.subarray(at, at + n);
      this.views.set(key, v);
    }
    return v;
  }

  /** publish gives a cell a value and wakes whoever sleeps on it. */
  publish(cell: number, value: number): void {
    this.store32(cell + L.EPOCH_CELL_AT_VALUE, value);
    if (this.load32(cell + L.EPOCH_CELL_AT_SLEEPERS) !== 0) this.wake(cell);
  }

  /** when calls fn once the cell differs from seen. A function waits once on a cell, however often it asks. */
  when(cell: number, seen: number, fn: () => void): void {
    const waiting = this.watched.get(cell);
    if (waiting) {
      waiting.add(fn);
      return;
    }
    const all = new Set([fn]);
    this.watched.set(cell, all);
    void this.sleep(cell, () => this.load32(cell + L.EPOCH_CELL_AT_VALUE) !== seen).then(() => {
      this.watched.delete(cell);
      for (const each of all) each();
    });
  }

  /** forget takes a function back. */
  forget(cell: number, fn: () => void): void { this.watched.get(cell)?.delete(fn); }
}
