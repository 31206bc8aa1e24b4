// States in the arena: one double-buffered value each, in the format of kernel/arena (state.go has the invariants).
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import type { Memory } from './memory.ts';

const padded = (n: number): number => (n + L.LINE - 1) & ~(L.LINE - 1);

/** stateBytes is the memory of a state of up to most bytes. */
export const stateBytes = (most: number): number => L.STATE_CONTROL_SIZE + 2 * padded(most);

class State {
  readonly most: number;
  readonly cell: number;
  constructor(readonly m: Memory, readonly at: number) {
    if (m.load32(at + L.STATE_CONTROL_AT_MAGIC) !== L.STATE_MAGIC) throw new Error('no state is formatted here');
    this.most = Number(m.load64(at + L.STATE_CONTROL_AT_HALF));
    this.cell = at + L.STATE_CONTROL_AT_CELL;
  }

  /** version is the newest; 0 before the first. */
  version(): number { return this.m.load32(this.cell + L.EPOCH_CELL_AT_VALUE); }

  protected half(version: number): number { return this.at + L.STATE_CONTROL_SIZE + (version & 1) * padded(this.most); }
}

/** StateWriter is the writing end. There is one. */
export class StateWriter extends State {
  /** format makes zeroed memory of stateBytes(most) at a multiple of 64 a state, whose idle half may be filled at once. */
  static format(m: Memory, at: number, most: number): StateWriter {
    m.store64(at + L.STATE_CONTROL_AT_HALF, BigInt(most));
    m.store32(at + L.STATE_CONTROL_AT_MAGIC, L.STATE_MAGIC);
    const w = new StateWriter(m, at);
    w.begin();
    return w;
  }

  /** shown is the newest version as numbers, not copied. */
  shown(): Float32Array { return new Float32Array(this.m.buffer, this.half(this.version()), this.most / 4); }

  private begin(): void { this.m.store32(this.at + L.STATE_CONTROL_AT_INTENT, this.version() + 1); }

  /** publish makes what was filled the newest version; the other half is the next to fill. */
  publish(): void {
    const length = (this.version() + 1) & 1 ? L.STATE_CONTROL_AT_LENGTH1 : L.STATE_CONTROL_AT_LENGTH0;
    this.m.store64(this.at + length, BigInt(this.most));
    this.m.advance(this.cell);
    this.begin();
  }
}

/** StateReader is a reading end. */
export class StateReader extends State {
  /** halves are both halves as numbers: version v is in half v & 1. They are the arena's memory, not copies. */
  readonly halves: [Float32Array, Float32Array];

  constructor(m: Memory, at: number) {
    super(m, at);
    const floats = (v: number): Float32Array => new Float32Array(m.buffer, this.half(v), this.most / 4);
    this.halves = [floats(0), floats(1)];
  }

  /** whole says whether what was read of a version is all of it: its half had not begun to be filled again. */
  whole(version: number): boolean { return ((this.m.load32(this.at + L.STATE_CONTROL_AT_INTENT) - version) >>> 0) <= 1; }

  /** changed resolves once the newest version is another than seen. */
  async changed(seen: number): Promise<number> {
    while (this.version() === seen) await this.m.sleep(this.cell, () => this.version() !== seen);
    return this.version();
  }
}
