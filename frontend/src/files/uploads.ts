// Uploads that run, whatever view is open.
import { useSyncExternalStore } from 'react';
import { messageOf } from '../lib/api';
import type { Pick } from '../lib/drop';
import { refreshObjects } from '../lib/store';
import { upload, type Report } from '../lib/upload';

export interface Running {
  id: number;
  name: string;
  files: number;
  report: Report;
  state: 'waiting' | 'sending' | 'done' | 'failed';
  error?: string;
  link?: string;
  stop: AbortController;
  pick: Pick;
}

const atOnce = 2;
let list: Running[] = [];
let news = ''; // what ended last, for who does not see the tray
let next = 1;
const listeners = new Set<() => void>();

function change(id: number, with_: Partial<Running>): void {
  list = list.map((u) => (u.id === id ? { ...u, ...with_ } : u));
  for (const l of listeners) l();
}

/** running are the uploads that have not ended. */
export const running = (all: Running[]): Running[] => all.filter((u) => u.state === 'waiting' || u.state === 'sending');

function pump(): void {
  while (list.filter((u) => u.state === 'sending').length < atOnce) {
    const u = list.find((v) => v.state === 'waiting');
    if (!u) return;
    change(u.id, { state: 'sending' });
    upload(u.pick, 0, (report) => change(u.id, { report }), u.stop.signal)
      .then(
        (o) => {
          const left = running(list).length - 1;
          news = left > 0 ? `${u.name} is kept, ${left} to go` : `${u.name} is kept`;
          change(u.id, { state: 'done', link: o.link });
        },
        (e: unknown) => (u.stop.signal.aborted ? dismiss(u.id) : change(u.id, { state: 'failed', error: messageOf(e) })),
      )
      .finally(() => {
        void refreshObjects();
        pump();
      });
  }
}

/** enqueue starts uploads, two at a time. */
export function enqueue(picks: Pick[]): void {
  const added = picks.filter((p) => p.items.length > 0).map((pick): Running => ({
    id: next++, name: pick.name, files: pick.items.length, state: 'waiting', stop: new AbortController(), pick,
    report: { sent: 0, length: pick.items.reduce((a, i) => a + i.file.size, 0) },
  }));
  list = [...list, ...added];
  for (const l of listeners) l();
  pump();
}

export function dismiss(id: number): void {
  list.find((u) => u.id === id)?.stop.abort();
  list = list.filter((u) => u.id !== id);
  for (const l of listeners) l();
}

/** dismissEnded takes what was kept off the list, and what failed too when all is true. */
export function dismissEnded(all: boolean): void {
  list = list.filter((u) => u.state !== 'done' && !(all && u.state === 'failed'));
  for (const l of listeners) l();
}

export function retry(id: number): void {
  change(id, { state: 'waiting', stop: new AbortController() });
  pump();
}

const subscribe = (fn: () => void): (() => void) => { listeners.add(fn); return () => listeners.delete(fn); };

export function useUploads(): Running[] {
  return useSyncExternalStore(subscribe, () => list);
}

/** useUploadNews is which upload ended well last. */
export function useUploadNews(): string {
  return useSyncExternalStore(subscribe, () => news);
}

window.addEventListener('beforeunload', (e) => {
  if (running(list).length > 0) e.preventDefault();
});
