import { describe, expect, it } from 'vitest';
import { StopWord, WatchedWord } from '../../bridge/stopword.ts';
import { Duty, LEAST } from './duty.ts';
import { Run } from './run.ts';
import type { Rules } from './messages.ts';

describe('a duty', () => {
  it.each([0.05, 0.1, 0.5, 0.9])('of %d is kept over slices of any length', (share) => {
    let now = 1000;
    const d = new Duty(share, now), began = now;
    let ran = 0;
    for (let i = 0; i < 5000; i++) {
      const slice = (i * 7919 % 97) / 40; // 0 to 2.4 ms
      [now, ran] = [now + slice, ran + slice];
      const due = d.due(now);
      if (due === 0) continue;
      expect(due).toBeGreaterThanOrEqual(LEAST);
      d.rest(now, now + due + (i % 3) * 0.2); // the clock of a thread is late
      now += due + (i % 3) * 0.2;
      expect(ran / (now - began)).toBeLessThanOrEqual(share + 1e-9);
    }
    expect(d.rests).toBeGreaterThan(0);
    expect(ran / (now + d.due(now, 0) - began)).toBeGreaterThan(0.9 * share);
  });

  it('owes nothing for what is waited for, and all of the rest at the end', () => {
    const d = new Duty(0.5, 0);
    d.wait(4);
    d.run(10_000); // a system call
    expect(d.due(10_003)).toBe(0);
    expect(d.due(10_003, 0)).toBe(7);
    d.rest(10_003, 10_010);
    expect(d.due(10_010, 0)).toBe(0);
    expect([d.rests, d.rested]).toEqual([1, 7]);
  });

  it('gives no credit for a machine that slept', () => {
    const d = new Duty(0.5, 0);
    d.rest(20, 20 + d.due(20) + 3_600_000);
    const later = 3_600_040;
    expect(d.due(later + 2 * LEAST)).toBeGreaterThan(0);
  });
});

describe('a run with a duty', () => {
  const rules = { slice: 1000, reasonStack: 1, reasonTable: 2 } as Rules;
  const busy = (ms: number): void => { for (const end = performance.now() + ms; performance.now() < end;); };
  /** spin runs slices of half a millisecond and returns the rests. */
  const spin = (run: Run, slices: number): void => { for (let i = 0; i < slices; i++) { busy(0.5); run.slice(0n, 0); } };

  it('rests between slices and pays the same gas', () => {
    const asked: number[] = [], host = { stopped: () => '', rest: (ms: number) => { asked.push(ms); busy(ms); } };
    const free = new Run(1_000_000n, 60_000, rules, host), held = new Run(1_000_000n, 60_000, rules, host);
    spin(free, 20);
    expect(asked).toEqual([]);
    held.duty = new Duty(0.25, performance.now());
    spin(held, 20); // at least 10 ms, which owe 30
    held.rest(true);
    expect(asked.length).toBeGreaterThan(1);
    expect(held.rested()).toBeGreaterThanOrEqual(30_000);
    expect(held.used()).toBe(free.used());
  });

  it('that has no time left for its rests is the node’s fault, and never rests beyond its time', () => {
    const host = { stopped: () => '', rest: busy }, run = new Run(1_000_000n, 400, rules, host), began = performance.now();
    run.duty = new Duty(0.01, began);
    expect(() => spin(run, 1000)).toThrow(expect.objectContaining({ code: 'Rested' }));
    run.rest(true);
    expect(performance.now() - began).toBeLessThan(4000);
  });
});

it('a rest on a word ends in time, and at once when the word is set', () => {
  const own = new WatchedWord(undefined), told = new StopWord(), hears = new WatchedWord(told.buffer);
  const began = performance.now();
  own.rest(20);
  expect(performance.now() - began).toBeGreaterThanOrEqual(19);
  told.set(1);
  hears.rest(60_000);
  expect([own.get(), hears.get()]).toEqual([0, 1]);
});
