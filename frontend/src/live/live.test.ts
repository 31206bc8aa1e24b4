import { describe, expect, it } from 'vitest';
import { Message } from 'capnp-es';
import { Request } from '../../../protocols/gen/ts/module/v1/call.ts';
import { Rate, Series } from './figures.ts';
import { startRequest } from './request.ts';

describe('the figures', () => {
  it('give the median of the last samples', () => {
    const s = new Series();
    expect(s.median()).toBeUndefined();
    for (let i = 0; i < 500; i++) s.add(i < 400 ? 1000 : i);
    expect(s.median()).toBeGreaterThanOrEqual(400);
    expect(s.median()).toBeLessThan(500);
  });

  it('count events a second, twice a second', () => {
    const r = new Rate();
    expect(r.value(1000)).toBeUndefined();
    r.add(30);
    expect(r.value(1400)).toBeUndefined();
    expect(r.value(1500)).toBe(60);
    expect(r.value(1600)).toBe(60);
    expect(r.value(2000)).toBe(0);
  });
});

it('starts a resident with a message that reads as it was meant', () => {
  const q = new Message(startRequest('flock', 'start', { agents: 8, seed: 7 }), false).getRoot(Request);
  expect([q.unit, q.method, new TextDecoder().decode(q.params.toUint8Array())]).toEqual(['flock', 'start', '{"agents":8,"seed":7}']);
});
