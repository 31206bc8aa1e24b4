// The state of a guest after its initialization, to which it is brought back between calls.

const STEP = 4096;

/** Image is a memory, without its pages of zeros, and the globals. */
export class Image {
  readonly size: number;
  private readonly runs: { at: number; bytes: Uint8Array }[] = []; // apart, in order

  /** fresh is the image of an instance that has not run at all: what lies there already in a new one. */
  constructor(memory: Uint8Array, readonly globals: (number | bigint)[], private readonly fresh: Image | undefined) {
    this.size = memory.length;
    const words = new BigUint64Array(memory.buffer, memory.byteOffset, memory.length / 8);
    for (let at = 0; at < memory.length;) {
      let end = at;
      while (end < memory.length && !zero(words, end)) end += STEP;
      if (end > at) this.runs.push({ at, bytes: memory.slice(at, end) });
      at = end + STEP;
    }
  }

  /** restore writes the image over a memory of a new instance, or of one that was used. */
  restore(memory: Uint8Array, used: boolean): void {
    let clean = 0;
    if (!used) for (const r of this.fresh?.runs ?? []) memory.fill(0, r.at, r.at + r.bytes.length);
    for (const r of this.runs) {
      if (used) memory.fill(0, clean, r.at);
      memory.set(r.bytes, r.at);
      clean = r.at + r.bytes.length;
    }
    if (used) memory.fill(0, clean);
  }
}

function zero(words: BigUint64Array, at: number): boolean {
  const end = (at + STEP) / 8;
  for (let i = at / 8; i < end; i++) if (words[i] !== 0n) return false;
  return true;
}
