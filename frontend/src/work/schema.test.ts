import { describe, expect, it } from 'vitest';
import { flow, place, radius, size } from '../mesh/layout';
import { fieldsOf, paramsOf, problemOf } from './schema';

const schema = {
  type: 'object', required: ['format'],
  properties: {
    quality: { type: 'integer', minimum: 1, maximum: 100, default: 85 }, format: { type: 'string', enum: ['jpeg', 'png'], description: 'The format.' },
    sigma: { type: ['number', 'null'] }, keep: { type: 'boolean' }, box: { type: 'array', items: { type: 'integer' } }, note: { type: 'string' },
  },
};

describe('a form from a schema', () => {
  const fields = fieldsOf(schema);
  it('puts what is needed first and keeps kinds, bounds and defaults', () => {
    expect(fields.map((f) => [f.name, f.kind, f.initial])).toEqual([
      ['format', 'choice', ''], ['quality', 'integer', '85'], ['sigma', 'number', ''], ['keep', 'switch', ''], ['box', 'json', ''], ['note', 'text', ''],
    ]);
    expect(fields[1]).toMatchObject({ min: 1, max: 100 });
    expect(fieldsOf(null)).toEqual([]);
    expect(fieldsOf({ properties: 7 })).toEqual([]);
  });
  it('sends what differs from the defaults, as JSON of the right type', () => {
    expect(paramsOf(fields, { format: 'png', quality: '85', sigma: '2.5', keep: 'true', box: '[1,2]', note: '' })).toEqual({ format: 'png', sigma: 2.5, keep: true, box: [1, 2] });
  });
  it('says what is wrong', () => {
    const of = (name: string, text: string): string => problemOf(fields.find((f) => f.name === name)!, text);
    expect([of('format', ''), of('quality', '0'), of('quality', '101'), of('quality', '1.5'), of('quality', ''), of('sigma', 'x'), of('box', '[1'), of('note', 'x')]).toEqual([
      'is needed', 'is at least 1', 'is at most 100', 'is a whole number', '', 'is a number', 'is JSON', '',
    ]);
  });
});

describe('the picture', () => {
  it('stands slower nodes farther away, none on another', () => {
    expect([0.05, 0.1, 1, 10, 100, 5000].map(radius)).toEqual([...[0.1, 0.1, 1, 10, 100, 1000].map(radius)]);
    expect(radius(1)).toBeLessThan(radius(10));
    const at = Array.from({ length: 30 }, (_, i) => place(i, 30, 1));
    for (const [i, a] of at.entries()) for (const b of at.slice(i + 1)) expect(Math.hypot(a.x - b.x, a.z - b.z)).toBeGreaterThan(0.4);
  });
  it('shows traffic in bounded numbers, and none when idle', () => {
    expect([0, 100, 1000, 1e6, 1e12].map(flow)).toEqual([0, 0, 2, 12, 14]);
    expect(size(0)).toBeLessThan(size(1 << 30));
  });
});
