// Short notices, and the undo of a removal: what destroys waits a moment first.
import { useSyncExternalStore } from 'react';
import { useFading } from './fading';
import { Button } from './parts';

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  undo?: () => void;
}

const undoTime = 8000;
const plainTime = 4000;
const most = 4;
let toasts: Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function set(list: Toast[]): void {
  toasts = list;
  for (const l of listeners) l();
}

function drop(id: number): void {
  set(toasts.filter((t) => t.id !== id));
}

/** fitting leaves out what does not fit: the oldest plain ones, then the oldest failures. What can be undone stays, and so does the newest. */
export function fitting(list: Toast[]): Toast[] {
  const kept = [...list];
  while (kept.length > most) {
    const old = kept.slice(0, -1).filter((t) => !t.undo);
    const out = old.find((t) => t.tone === 'plain') ?? old[0];
    if (!out) break;
    kept.splice(kept.indexOf(out), 1);
  }
  return kept;
}

/** notify shows a line: for a few seconds, or until it is dismissed when it tells of a failure. */
export function notify(text: string, tone: 'plain' | 'bad' = 'plain'): void {
  set(fitting([...toasts, { id: next++, text, tone }]));
}

/** undoable calls act after a while unless the person takes it back; act is told when the page is going away. */
export function undoable(text: string, act: (leaving: boolean) => void, undone: () => void): void {
  const id = next++;
  const finish = (leaving: boolean): void => {
    clearTimeout(timer);
    window.removeEventListener('pagehide', leave);
    drop(id);
    act(leaving);
  };
  const leave = (): void => finish(true);
  const timer = setTimeout(() => finish(false), undoTime);
  window.addEventListener('pagehide', leave);
  const undo = (): void => {
    clearTimeout(timer);
    window.removeEventListener('pagehide', leave);
    drop(id);
    undone();
  };
  set([...toasts, { id, text, tone: 'plain', undo }]);
}

export function Toasts() {
  const list = useSyncExternalStore((fn) => { listeners.add(fn); return () => listeners.delete(fn); }, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {list.map((t) => <Notice key={t.id} toast={t} />)}
    </div>
  );
}

function Notice({ toast: t }: { toast: Toast }) {
  const { ref, leaving } = useFading<HTMLDivElement>(t.tone === 'plain' && !t.undo, plainTime, () => drop(t.id));
  return (
    <div ref={ref} className={`toast ${t.tone} ${leaving ? 'leaving' : ''}`}>
      <span>{t.text}</span>
      {t.undo && <Button kind="quiet" onClick={t.undo}>Undo</Button>}
      {t.tone === 'bad' && <Button icon="close" kind="quiet" label="Dismiss" onClick={() => drop(t.id)} />}
    </div>
  );
}
