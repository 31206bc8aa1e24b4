// Looking again and again at what changes without events.

export interface Watch {
  /** look asks once and says whether to look again. It rejects when the question failed. */
  look: (signal: AbortSignal) => Promise<boolean>;
  /** failed is told why a look failed. */
  failed: (e: unknown) => void;
  seen: () => boolean; // nobody looks again while it is false
  every: number; // ms from one look to the next
  afterFailure: number; // ms to the next after one that failed
  /** going says, as the look before did, whether to look again when the first one fails. */
  going: boolean;
}

/** watch looks at once, then for as long as there is something to see: a look that fails does not end it when the one before was to be followed by
 * another. What it returns ends it: look's signal is aborted, and nothing is told any more. */
export function watch(w: Watch): () => void {
  const end = new AbortController();
  let { going } = w, timer: ReturnType<typeof setTimeout> | undefined;
  const later = (ms: number): void => {
    timer = setTimeout(() => {
      if (w.seen()) void look();
      else later(w.every);
    }, ms);
  };
  const look = async (): Promise<void> => {
    let wait = w.every;
    try {
      going = await w.look(end.signal);
    } catch (e) {
      if (!end.signal.aborted) w.failed(e);
      wait = w.afterFailure;
    }
    if (going && !end.signal.aborted) later(wait);
  };
  void look();
  return () => { end.abort(); clearTimeout(timer); };
}
