// How the workers of a resident are kept in step: a word by which the first calls the others to a step, and what a page may
// ask of them and read while they run. The steps' own barriers are the module's, in its memory.

const TURN = 0, WANTED = 1, PACE_US = 2, STEP_US = 3, STEPS = 4, FAILED = 5;
const STAMP = 4, GAS = 5; // words of 64 bits

/** Wanted is what the workers are to do. */
export const Wanted = { run: 0, rest: 1, end: 2 } as const;
export type Wanted = (typeof Wanted)[keyof typeof Wanted];

const now = (): number => (performance.timeOrigin + performance.now()) * 1000;

/** Team is the words, as each thread sees them. Without shared memory it serves one thread. */
export class Team {
  private readonly words: Int32Array;
  private readonly longs: BigInt64Array;

  constructor(readonly buffer: SharedArrayBuffer | ArrayBuffer) {
    this.words = new Int32Array(buffer);
    this.longs = new BigInt64Array(buffer);
  }

  /** make makes the words of a new team. */
  static make(shared: boolean): Team { return new Team(shared ? new SharedArrayBuffer(128) : new ArrayBuffer(128)); }

  /** want changes what the workers are to do, and wakes them. */
  want(w: Wanted): void {
    Atomics.store(this.words, WANTED, w);
    Atomics.notify(this.words, WANTED);
    if (w === Wanted.end) this.call();
  }
  wanted(): Wanted { return Atomics.load(this.words, WANTED) as Wanted; }

  /** pace sets the least time between the beginnings of two steps, in microseconds. */
  pace(us: number): void { Atomics.store(this.words, PACE_US, us); }

  /** call begins the next step for those that wait for their turn. */
  call(): void {
    Atomics.add(this.words, TURN, 1);
    Atomics.notify(this.words, TURN);
  }
  turn(): number { return Atomics.load(this.words, TURN); }

  /** await blocks until the turn is another than seen. */
  await(seen: number): number {
    while (this.turn() === seen) Atomics.wait(this.words, TURN, seen);
    return this.turn();
  }

  /** sleep blocks until a step that began at a time may be followed by another, or something else is wanted. */
  sleep(began: number): void {
    for (;;) {
      const left = Atomics.load(this.words, PACE_US) / 1000 - (performance.now() - began);
      if (left <= 0 || this.wanted() !== Wanted.run) return;
      Atomics.wait(this.words, WANTED, Wanted.run, left);
    }
  }

  /** stepped records a step that took so many milliseconds. */
  stepped(ms: number): void {
    Atomics.store(this.words, STEP_US, Math.round(ms * 1000));
    Atomics.add(this.words, STEPS, 1);
  }
  /** lastStep is how long the last step took, in milliseconds; steps how many there were. */
  lastStep(): number { return Atomics.load(this.words, STEP_US) / 1000; }
  steps(): number { return Atomics.load(this.words, STEPS) >>> 0; }

  /** stamp notes that something is published now; age is how long ago that was, in microseconds. */
  stamp(): void { Atomics.store(this.longs, STAMP, BigInt(Math.round(now()))); }
  age(): number { return now() - Number(Atomics.load(this.longs, STAMP)); }

  /** spend adds to the gas that the workers have used. */
  spend(gas: bigint): void { Atomics.add(this.longs, GAS, gas); }
  gas(): bigint { return Atomics.load(this.longs, GAS); }

  /** fail ends a team of which one worker failed. */
  fail(): void { Atomics.store(this.words, FAILED, 1); this.want(Wanted.end); }
  failed(): boolean { return Atomics.load(this.words, FAILED) !== 0; }
}
