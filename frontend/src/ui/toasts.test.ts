import { describe, expect, it } from 'vitest';
import { fitting, type Toast } from './toasts';

describe('notices', () => {
  const list = (...kinds: ('plain' | 'bad' | 'undo')[]): Toast[] => kinds.map((k, id) => (k === 'undo' ? { id, text: k, tone: 'plain', undo: () => undefined } : { id, text: k, tone: k }));
  const kept = (...kinds: Parameters<typeof list>): number[] => fitting(list(...kinds)).map((t) => t.id);
  it('stay while they fit', () => expect(kept('bad', 'plain', 'undo', 'bad')).toEqual([0, 1, 2, 3]));
  it('show a new one beside failures only', () => expect(kept('bad', 'bad', 'bad', 'bad', 'plain')).toEqual([1, 2, 3, 4]));
  it('keep what can be undone when failures come', () => expect(kept('undo', 'bad', 'bad', 'bad', 'bad')).toEqual([0, 2, 3, 4]));
  it('give up a plain one before a failure', () => expect(kept('bad', 'plain', 'bad', 'plain', 'bad')).toEqual([0, 2, 3, 4]));
  it('are more than fit when all can be undone', () => expect(kept('undo', 'undo', 'undo', 'undo', 'bad')).toEqual([0, 1, 2, 3, 4]));
});
