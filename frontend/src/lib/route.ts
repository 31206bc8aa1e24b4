// Addresses of views: /files/ROOT?path=a/b. Keys of links are never in them.
import { useSyncExternalStore } from 'react';

export const views = ['mesh', 'files', 'work', 'credits', 'modules', 'live', 'node'] as const;
export type View = (typeof views)[number];

export interface Route {
  view: View;
  rest: string[];
  query: URLSearchParams;
}

let current = parse();

function parse(): Route {
  const [first = '', ...rest] = location.pathname.split('/').filter(Boolean).map(decodeURIComponent);
  const view = views.find((v) => v === first) ?? 'mesh';
  return { view, rest, query: new URLSearchParams(location.search) };
}

const listeners = new Set<() => void>();

function changed(): void {
  current = parse();
  for (const l of listeners) l();
}

window.addEventListener('popstate', changed);

/** go opens an address of the page. */
export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  changed();
}

export function useRoute(): Route {
  return useSyncExternalStore(
    (fn) => {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    () => current,
  );
}

/** address builds one, leaving out what is empty. */
export function address(view: View, rest: string[] = [], query: Record<string, string> = {}): string {
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== ''));
  return `/${[view, ...rest.map(encodeURIComponent)].join('/')}${q.size ? `?${q}` : ''}`;
}
