import { describe, expect, it } from 'vitest';
import * as L from '../../../protocols/gen/layout/ts/layout.ts';
import { Memory } from './memory.ts';
import { StateReader, StateWriter, stateBytes } from './state.ts';
import { Team, Wanted } from './team.ts';

const most = 24 * 4; // not a whole number of cache lines

function made(): { m: Memory; w: StateWriter; r: StateReader; fill(v: number): void } {
  const m = new Memory(new SharedArrayBuffer(64 + stateBytes(most)));
  const w = StateWriter.format(m, 64, most), r = new StateReader(m, 64);
  return { m, w, r, fill: (v) => { r.halves[(w.version() + 1) & 1]!.fill(v); } };
}

describe('a state', () => {
  it('shows each version whole, in the half that its number names', () => {
    const { m, w, r, fill } = made();
    expect(r.version()).toBe(0);
    for (let v = 1; v <= 5; v++) {
      fill(v);
      w.publish();
      expect(r.version()).toBe(v);
      expect([...r.halves[v & 1]!]).toEqual(Array(24).fill(v));
      expect([...w.shown()]).toEqual(Array(24).fill(v));
      expect(m.load64(64 + (v & 1 ? L.STATE_CONTROL_AT_LENGTH1 : L.STATE_CONTROL_AT_LENGTH0))).toBe(BigInt(most));
    }
  });

  it('tells a reader that was overtaken', () => {
    const { w, r, fill } = made();
    fill(1);
    w.publish();
    const v = r.version();
    expect(r.whole(v)).toBe(true); // the writer fills the other half
    fill(2);
    w.publish();
    expect(r.whole(v)).toBe(false); // and now this one
    expect(r.whole(r.version())).toBe(true);
  });

  it('wakes who waits for another version', async () => {
    const { w, r, fill } = made();
    const next = r.changed(r.version());
    await new Promise((ok) => setTimeout(ok, 5));
    fill(1);
    w.publish();
    expect(await next).toBe(1);
  });

  it('is not found where none was made', () => {
    expect(() => new StateReader(new Memory(new SharedArrayBuffer(1024)), 0)).toThrow('no state');
  });
});

describe('a team', () => {
  it('counts steps and gas, and says what is wanted', () => {
    const page = Team.make(true), worker = new Team(page.buffer);
    worker.stepped(1.5);
    worker.spend(7n);
    worker.spend(5n);
    expect([page.steps(), page.lastStep(), page.gas()]).toEqual([1, 1.5, 12n]);
    page.want(Wanted.rest);
    expect(worker.wanted()).toBe(Wanted.rest);
    const seen = worker.turn();
    worker.fail();
    expect([page.failed(), page.wanted(), page.turn() !== seen]).toEqual([true, Wanted.end, true]);
  });

  it('knows how long ago something was published', () => {
    const team = Team.make(true);
    team.stamp();
    expect(team.age()).toBeGreaterThanOrEqual(-1);
    expect(team.age()).toBeLessThan(1_000_000);
  });
});
