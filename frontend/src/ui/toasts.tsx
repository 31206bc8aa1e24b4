// Short notices, and the undo of a removal: what destroys waits a moment first.
import { useSyncExternalStore } from 'react';
import { Button } from './parts';

interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  undo?: () => void;
}

const undoTime = 8000;
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

/** notify shows a line for a few seconds. */
export function notify(text: string, tone: 'plain' | 'bad' = 'plain'): void {
  const id = next++;
  set([...toasts, { id, text, tone }].slice(-4));
  setTimeout(() => drop(id), tone === 'bad' ? 8000 : 4000);
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
      {list.map((t) => (
        <div key={t.id} className={`toast ${t.tone}`}>
          <span>{t.text}</span>
          {t.undo && <Button kind="quiet" onClick={t.undo}>Undo</Button>}
        </div>
      ))}
    </div>
  );
}
