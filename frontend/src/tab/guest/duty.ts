// How a guest keeps to a part of the time: it runs, and rests for as long as what it ran costs. Decided on times alone.
//
// Invariants:
//   - When a rest that was long enough ends, the guest has run for at most its share of the time. Before the next, it owes less
//     than LEAST and what one slice costs.
//   - Time that the guest waits for others, as in a system call, is neither running nor rest.

/** LEAST is the shortest rest in milliseconds, so that threads change seldom. */
export const LEAST = 10;

/** Duty keeps the account of one call. Times are milliseconds of one clock. */
export class Duty {
  rests = 0;  // how many
  rested = 0; // milliseconds of them
  private owed = 0; // of rest, below 0 when the last was longer than asked

  /** share is the part of the time that may be run, above 0 and below 1. The guest runs from now on. */
  constructor(private readonly share: number, private since: number) {}

  /** due is how long to rest now: 0 while that is less than least. */
  due(now: number, least = LEAST): number {
    this.wait(now);
    return this.owed >= least ? Math.max(0, this.owed) : 0;
  }

  /** rest notes a rest from one time to another. What was more than due counts, but a thread that was suspended gains nothing by it. */
  rest(from: number, to: number): void {
    this.rests++;
    this.rested += to - from;
    this.owed = Math.max(this.owed - (to - from), -LEAST);
    this.since = to;
  }

  /** wait says that the guest waits for others from now on, until it runs. */
  wait(now: number): void {
    this.owed += Math.max(0, now - this.since) * (1 / this.share - 1);
    this.since = now;
  }

  /** run says that the guest runs again. */
  run(now: number): void { this.since = now; }
}
