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

/** moves nets what jobs held and gave back: the difference is paid for work. open are the account's open escrows: one that was used up
 * gives nothing back, so entries alone do not tell it from them. Each job has an escrow per worker that it was given to. What came back from
 * one that was opened before these entries is no move of theirs: the sum of the earlier ones has what it held. */
export function moves(entries: Entry[], account: string, open: readonly string[] = []): Move[] {
  const out: Move[] = [];
  const escrows = new Map<string, { time: number; amount: number; opened: boolean }>();
  const held = new Set(open);
  for (const e of entries) {
    const d = delta(e, account);
    if (d === 0) continue;
    if (e.cause !== 'escrow' && e.cause !== 'refund') {
      out.push({ time: e.time, kind: e.cause === 'settle' ? 'earned' : e.cause === 'genesis' ? 'grant' : e.cause, amount: d });
      continue;
    }
    const id = e.cause === 'escrow' ? e.to : e.from;
    const was = escrows.get(id) ?? { time: 0, amount: 0, opened: false };
    escrows.set(id, { time: Math.max(was.time, e.time), amount: was.amount + d, opened: was.opened || e.cause === 'escrow' });
  }
  for (const [id, m] of escrows) {
    if (m.opened && m.amount !== 0) out.push({ time: m.time, kind: held.has(id) ? 'held' : 'paid', amount: m.amount });
  }
  return out;
}

/** CauseSum is what one kind of moves came to, in microcredits. */
export interface CauseSum {
  kind: string;
  in: number;
  out: number; // not above zero
}

/** byCause sums moves by kind, in the order of kinds. */
export function byCause(list: Move[]): CauseSum[] {
  const sums = new Map(Object.keys(kinds).map((kind): [string, CauseSum] => [kind, { kind, in: 0, out: 0 }]));
  for (const m of list) {
    const s = sums.get(m.kind) ?? { kind: m.kind, in: 0, out: 0 };
    sums.set(m.kind, s);
    if (m.amount > 0) s.in += m.amount;
    else s.out += m.amount;
  }
  return [...sums.values()].filter((s) => s.in !== 0 || s.out !== 0);
}

export interface Bucket {
  from: number;
  to: number;
  byCause: Record<string, number>; // microcredits by kind
}

const spans = [1000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 6 * 3_600_000, 86_400_000, 7 * 86_400_000];

/** buckets sums moves over time: at most max of them, of a round length each. */
export function buckets(mine: Move[], max: number): Bucket[] {
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
