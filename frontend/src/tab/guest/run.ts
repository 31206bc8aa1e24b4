// The gas and the time of one call: kernel/module/meter says when a guest asks, host/wasm/stop.go what a native node answers.
//
// Invariants:
//   - Slices are as long as natively and decided on gas before the clock is read, so that a call costs the same everywhere,
//     also where it traps between two stores of its counter.
//   - Rests (duty.ts) lie between slices and after the guest's end, and change nothing that the guest can see.
import { Duty } from './duty.ts';
import type { Rules } from './messages.ts';
import { Stop } from './stop.ts';

const word = (n: bigint): bigint => BigInt.asUintN(64, n);

/** Run is the state of the call that an instance serves. */
export class Run {
  spent = 0n;               // gas, up to the start of the current slice
  granted = 0n;             // gas of the current slice
  deadline = 0;             // as performance.now() tells
  inCall = false;           // inos_call runs, and not on behalf of a system call
  lines = 0;                // log lines so far
  clockUS = 0n;             // microseconds the guest's clock has moved
  submittedMS = 0n;
  seed: Uint8Array = new Uint8Array(32);
  logs = false;
  memory = 2 ** 32;         // bytes the call may use
  random: { xofInto(to: Uint8Array): Uint8Array } | undefined; // made on first use
  gas: WebAssembly.Global | undefined; // the guest's counter, once it is known

  duty: Duty | undefined;   // of a guest that may run for a part of the time

  /** host tells why somebody wants the guest to end, '' while nobody does, and stops the thread for a while. */
  constructor(readonly limit: bigint, wallMS: number, readonly rules: Rules, private readonly host: { stopped(): string; rest(ms: number): void }) {
    this.deadline = performance.now() + wallMS;
    this.granted = this.grant();
  }

  private grant(): bigint {
    const left = this.limit - this.spent, slice = BigInt(this.rules.slice);
    return left < slice ? left : slice;
  }

  /** refill gives the guest its current grant. */
  refill(): void { this.set(this.granted); }

  private set(n: bigint): void { if (this.gas) this.gas.value = BigInt.asIntN(64, n); }

  private settle(left: bigint): void {
    this.spent = word(this.spent + word(this.granted - left));
    this.granted = 0n;
  }

  /** slice serves the import that metered code calls at the end of a slice. */
  slice(left: bigint, reason: number): bigint {
    this.settle(left);
    this.set(0n);
    if (reason === this.rules.reasonStack) throw new Stop('TooDeep');
    if (reason === this.rules.reasonTable) throw new Stop('TableFull');
    if (this.spent > this.limit) throw new Stop('OutOfGas');
    this.rest();
    this.checkTime();
    this.granted = this.grant();
    this.refill();
    return this.granted;
  }

  /** checkTime stops the guest when its time is up or nobody wants the answer. */
  checkTime(): void {
    const why = this.host.stopped();
    if (why !== '') throw new Stop(why);
    if (performance.now() > this.deadline) throw new Stop(this.hasRested() ? 'Rested' : 'OverTime');
  }

  /** rest stops the thread for as long as is due, never beyond the deadline. At the guest's end all is due that is owed. */
  rest(atEnd = false): void {
    if (!this.duty) return;
    const from = performance.now(), due = Math.min(this.duty.due(from, atEnd ? 0 : undefined), this.deadline - from);
    if (due <= 0) return;
    this.host.rest(due);
    this.duty.rest(from, performance.now());
  }

  /** hasRested tells that the guest might have been done sooner elsewhere. */
  hasRested(): boolean { return (this.duty?.rests ?? 0) > 0; }

  /** rested is how long that was in all, in microseconds. */
  rested(): number { return Math.round((this.duty?.rested ?? 0) * 1000); }

  /** charge takes gas for work that the host does for the guest. */
  charge(n: number): void { if (this.gas) this.set((this.gas.value as bigint) - BigInt(n)); }

  /** used is the gas of the call so far, which may be more than its limit. */
  used(): bigint {
    if (this.gas) this.settle(this.gas.value as bigint);
    this.set(0n);
    return this.spent;
  }

  /** left is the gas that the guest has not used. */
  left(): bigint {
    const used = word(this.spent + word(this.granted - ((this.gas?.value ?? this.granted) as bigint)));
    return used > this.limit ? 0n : this.limit - used;
  }
}
