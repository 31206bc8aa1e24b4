// Notices of success leave by themselves, unless somebody is reading them.
import { useEffect, useRef, useState, type RefObject } from 'react';

const fadeTime = 400; // as long as the transition of .leaving
const tick = 200;

/** read says that an element is under the pointer, has the focus of the keyboard, or is on a page that nobody sees. */
const read = (el: Element): boolean => document.visibilityState !== 'visible' || el.matches(':hover, :has(:focus-visible)');

/** useFading calls gone when on has been true for a while. The time begins anew each time that the element of ref is read.
 * leaving is true while it fades. */
export function useFading<T extends Element>(on: boolean, ms: number, gone: () => void): { ref: RefObject<T | null>; leaving: boolean } {
  const ref = useRef<T>(null);
  const [leaving, setLeaving] = useState(false);
  const end = useRef(gone);
  end.current = gone;
  useEffect(() => {
    if (!on) return;
    let since = performance.now();
    const timer = setInterval(() => {
      if (ref.current && read(ref.current)) since = performance.now();
      const past = performance.now() - since;
      setLeaving(past >= ms);
      if (past >= ms + fadeTime) end.current();
    }, tick);
    return () => {
      clearInterval(timer);
      setLeaving(false);
    };
  }, [on, ms]);
  return { ref, leaving };
}
