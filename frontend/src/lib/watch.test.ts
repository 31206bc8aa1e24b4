import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watch } from './watch';

describe('watching', () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  /** begun watches what answers with each of these in turn; an error is a look that failed. */
  function begun(answers: (boolean | Error)[], going = false) {
    const seen = { page: true, looks: 0, failed: [] as string[] };
    const end = watch({
      look: () => {
        const a = answers[seen.looks++] ?? false;
        return a instanceof Error ? Promise.reject(a) : Promise.resolve(a);
      },
      failed: (e) => seen.failed.push((e as Error).message),
      seen: () => seen.page, every: 1000, afterFailure: 5000, going,
    });
    return { seen, end };
  }
  const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

  it('goes on until there is nothing more to see', async () => {
    const { seen } = begun([true, true, false, true]);
    await pass(60_000);
    expect(seen.looks).toBe(3);
  });
  it('goes on after a failure, more slowly', async () => {
    const { seen } = begun([true, new Error('away'), true, true]);
    await pass(1000);
    expect(seen).toMatchObject({ looks: 2, failed: ['away'] });
    await pass(4999);
    expect(seen.looks).toBe(2);
    await pass(1);
    expect(seen.looks).toBe(3);
    await pass(1000);
    expect(seen.looks).toBe(4);
  });
  it('goes on when begun anew with a failure, and only then', async () => {
    const on = begun([new Error('away'), true], true), off = begun([new Error('away'), true]);
    await pass(5000);
    expect([on.seen.looks, off.seen.looks]).toEqual([2, 1]);
  });
  it('rests while nobody sees it', async () => {
    const { seen } = begun([true, true, true]);
    await pass(0);
    seen.page = false;
    await pass(10_000);
    expect(seen.looks).toBe(1);
    seen.page = true;
    await pass(1000);
    expect(seen.looks).toBe(2);
  });
  it('ends when told to, also during a look', async () => {
    const { seen, end } = begun([true, true]);
    end();
    await pass(10_000);
    expect(seen.looks).toBe(1);
  });
});
