// The books as this node's owner reads them: what came in, what went out, why.
import type { Entry } from './api';

/** delta is what an entry did to an account, in microcredits. */
export function delta(e: Entry, account: string): number {
  return (e.to === account ? e.amount : 0) - (e.from === account ? e.amount : 0);
}

/** kinds are what the chart tells apart. What was held for a job and given back
 * when it ended is neither income nor expense: the difference is. */
export const kinds: Record<string, string> = {
  earned: 'earned by work', paid: 'paid for work', held: 'held for running jobs', storage: 'keeping files', serve: 'sending bytes', transfer: 'transfers', grant: 'grants',
};

/** Move is one change of an account, of one kind. */
export interface Move {
  time: number;
  kind: string;
  amount: number; // microcredits, in the account's favour when positive
}

/** moves nets what jobs held and gave back; an unfinished job's money is held. */
export function moves(entries: Entry[], account: string): Move[] {
  const out: Move[] = [];
  const jobs = new Map<string, Move & { closed: boolean }>();
  for (const e of entries) {
    const d = delta(e, account);
    if (d === 0) continue;
    if (e.cause !== 'escrow' && e.cause !== 'refund') {
      out.push({ time: e.time, kind: e.cause === 'settle' ? 'earned' : e.cause === 'genesis' ? 'grant' : e.cause, amount: d });
      continue;
    }
    const job = jobs.get(e.ref ?? '') ?? { time: 0, kind: 'held', amount: 0, closed: false };
    jobs.set(e.ref ?? '', { time: Math.max(job.time, e.time), kind: 'held', amount: job.amount + d, closed: job.closed || e.cause === 'refund' });
  }
  for (const { closed, ...m } of jobs.values()) if (m.amount !== 0) out.push({ ...m, kind: closed ? 'paid' : 'held' });
  return out;
}

export interface Bucket {
  from: number;
  to: number;
  byCause: Record<string, number>; // microcredits by kind
}

const spans = [1000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 6 * 3_600_000, 86_400_000, 7 * 86_400_000];

/** buckets sums moves over time: at most max of them, of a round length each. */
export function buckets(entries: Entry[], account: string, max: number): Bucket[] {
  const mine = moves(entries, account);
  if (mine.length === 0) return [];
  const times = mine.map((e) => e.time);
  const first = Math.min(...times);
  const last = Math.max(...times);
  const span = spans.find((s) => (last - first) / s < max - 1) ?? Math.ceil((last - first) / (max - 1));
  const start = Math.floor(first / span) * span;
  const out: Bucket[] = [];
  for (let at = start; at <= last; at += span) out.push({ from: at, to: at + span, byCause: {} });
  for (const e of mine) {
    const b = out[Math.floor((e.time - start) / span)];
    if (b) b.byCause[e.kind] = (b.byCause[e.kind] ?? 0) + e.amount;
  }
  return out;
}

/** causes in words. */
export const causes: Record<string, string> = {
  genesis: 'genesis', grant: 'grants', escrow: 'held for jobs', settle: 'work', refund: 'given back', storage: 'keeping files', serve: 'sending bytes', transfer: 'transfers',
};
