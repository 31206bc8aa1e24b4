// Whom the page speaks to: the native node that served it, or this tab's own node.
import { useSyncExternalStore } from 'react';
import { goThrough, type TabWay } from './api';
import { resetState } from './store';

export type Mode = 'node' | 'tab';

const kept = 'inos.mode'; // for this browser tab, over a reload

let mode: Mode = 'node';
const listeners = new Set<() => void>();

/** speakTo changes whom the page speaks to; way is needed for the tab's own node. */
export function speakTo(to: Mode, way?: TabWay): void {
  goThrough(to === 'tab' ? way : undefined);
  mode = to;
  sessionStorage.setItem(kept, to);
  resetState();
  for (const l of listeners) l();
}

export const useMode = (): Mode => useSyncExternalStore((fn) => { listeners.add(fn); return () => listeners.delete(fn); }, () => mode);

/** currentMode is whom the page speaks to now. */
export const currentMode = (): Mode => mode;

/** wasTab says that the page spoke to the tab's own node before it was loaded anew. */
export const wasTab = (): boolean => sessionStorage.getItem(kept) === 'tab';
