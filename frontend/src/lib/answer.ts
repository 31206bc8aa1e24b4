// What a view asks for itself and nobody else needs.
import { useEffect, useState } from 'react';
import { messageOf } from './api';

/** useAnswer asks once, and again when told to or when deps change. The old answer stays until the new one is there. */
export function useAnswer<T>(ask: () => Promise<T>, deps: unknown[]): { value?: T; error?: string; again: () => void } {
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    ask().then((value) => !gone && setState({ value }), (e: unknown) => !gone && setState((s) => ({ ...s, error: messageOf(e) })));
    return () => { gone = true; };
    // ask is rebuilt on every render and always asks the same
  }, [round, ...deps]);
  return { ...state, again: () => setRound((n) => n + 1) };
}
