// Runs this page started. A run ends with its connection, so it belongs to the
// page and not to a view.
import { useMemo, useSyncExternalStore } from 'react';
import { lines, messageOf, remove, send, type Job, type RunRequest } from '../lib/api';
import { currentMode, useMode, type Mode } from '../lib/mode';

export interface Run {
  id: number;
  payer: Mode; // whom the page spoke to
  method: string;
  started: number;
  expected: number;
  jobs: Map<string, Job>;
  error: string;
  running: boolean;
  stop: AbortController;
}

const maxRuns = 20;
let list: Run[] = [];
let next = 1;
const listeners = new Set<() => void>();

function changed(run: Run, with_: Partial<Run>): Run {
  const now = { ...run, ...with_ };
  list = list.map((r) => (r.id === run.id ? now : r));
  for (const l of listeners) l();
  return now;
}

/** start runs a method and returns the run's number. */
export function start(request: RunRequest, method: string, expected: number): number {
  let run: Run = {
    id: next++, payer: currentMode(), method, started: Date.now(), expected,
    jobs: new Map(), error: '', running: true, stop: new AbortController(),
  };
  list = [run, ...list].slice(0, maxRuns);
  for (const l of listeners) l();
  const update = (with_: Partial<Run>): void => { run = changed(run, with_); };
  send('/v1/runs', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(request), signal: run.stop.signal })
    .then((res) => lines<{ job?: Job; error?: { detail: string } }>(res, (u) => {
      if (u.error) update({ error: u.error.detail });
      if (u.job) {
        const jobs = new Map(run.jobs);
        jobs.set(u.job.spec.id, u.job);
        update({ jobs });
      }
    }))
    .then(() => update({ running: false }), (e: unknown) => update({ running: false, error: run.stop.signal.aborted ? 'stopped' : messageOf(e) }));
  return run.id;
}

export function cancel(run: Run): void {
  run.stop.abort();
}

/** cancelJob stops one job and leaves the others. */
export function cancelJob(id: string): Promise<void> {
  return remove(`/v1/jobs/${id}`);
}

/** useRuns lists the runs of whom the page speaks to, the newest first. */
export function useRuns(): Run[] {
  const mode = useMode();
  const all = useSyncExternalStore((fn) => { listeners.add(fn); return () => listeners.delete(fn); }, () => list);
  return useMemo(() => all.filter((r) => r.payer === mode), [all, mode]);
}

window.addEventListener('beforeunload', (e) => {
  if (list.some((r) => r.running)) e.preventDefault();
});
