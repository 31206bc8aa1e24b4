// What a view asks for itself and nobody else needs.
import { useEffect, useState } from 'react';
import { messageOf } from './api';

/** useAnswer asks once, and again when told to or when deps change: wait ms after the last of several changes, and no longer for the answer before.
 * The old answer stays until the new one is there. */
export function useAnswer<T>(ask: (signal: AbortSignal) => Promise<T>, deps: unknown[], wait = 0): { value?: T; error?: string; again: () => void } {
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    const end = new AbortController(), gone = (): boolean => end.signal.aborted;
    const timer = setTimeout(() => {
      ask(end.signal).then((value) => !gone() && setState({ value }), (e: unknown) => !gone() && setState((s) => ({ ...s, error: messageOf(e) })));
    }, wait);
    return () => { end.abort(); clearTimeout(timer); };
    // ask is rebuilt on every render and always asks the same
  }, [round, ...deps]);
  return { ...state, again: () => setRound((n) => n + 1) };
}
