import { useEffect, useMemo, useState } from 'react';
import { get, messageOf, type CreditsReport, type Entry } from '../lib/api';
import { clock, count, credits, exact, short } from '../lib/format';
import { buckets, byCause, causes, delta, kinds, moves, type Bucket, type Move } from '../lib/ledger';
import { present } from '../lib/members';
import { useStore } from '../lib/store';
import { csv, save } from '../lib/table';
import { Button, Empty, Failure, Section, Tabs, Waiting } from '../ui/parts';
import { notify } from '../ui/toasts';

const page = 1000;
const maxEntries = 50_000;

async function readAll(account: string): Promise<Entry[]> {
  const all: Entry[] = [];
  for (let before = 0; all.length < maxEntries; ) {
    const r = await get<CreditsReport>(`/v1/credits?limit=${page}&before=${before}&account=${encodeURIComponent(account)}`);
    all.push(...(r.entries ?? []));
    if (!r.next) break;
    before = r.next;
  }
  return all;
}

export function Credits() {
  const node = useStore((s) => s.status.value?.node);
  const last = useStore((s) => s.events.at(-1)?.id);
  const [report, setReport] = useState<CreditsReport>(); // with this node's entries
  const [settles, setSettles] = useState<Entry[]>([]); // the newest of all members: they name the workers of escrows
  const [error, setError] = useState('');
  useEffect(() => {
    if (!node) return;
    let gone = false;
    const timer = setTimeout(() => {
      Promise.all([get<CreditsReport>(`/v1/credits?limit=${page}&account=${encodeURIComponent(node)}`), get<CreditsReport>(`/v1/credits?limit=${page}&cause=settle`)]).then(
        ([mine, paid]) => { if (!gone) { setReport(mine); setSettles(paid.entries ?? []); setError(''); } },
        (e: unknown) => !gone && setError(messageOf(e)),
      );
    }, 250);
    return () => { gone = true; clearTimeout(timer); };
  }, [node, last]);
  const entries = useMemo(() => report?.entries ?? [], [report]);
  const mine = useMemo(() => moves(entries, node ?? '', report?.escrows ?? []), [entries, node, report]);
  if (error && !report) return <Failure message={error} />;
  if (!report || !node) return <Waiting lines={9} />;
  const exportAll = (): void => void readAll(node).then(
    (all) => save('inos-credits.csv', csv([['seq', 'time', 'cause', 'credits', 'from', 'to', 'ref'], ...all.map((e) => [e.seq, new Date(e.time).toISOString(), e.cause, delta(e, node) / 1e6, e.from, e.to, e.ref ?? ''])]), 'text/csv'),
    (e: unknown) => notify(messageOf(e), 'bad'),
  );
  return (
    <div className="credits">
      {error && <Failure message={error} />}
      <div className="credits-top">
        <div className="balance">
          <span className="muted">Balance of this node</span>
          <strong className="big">{exact(report.balance)}</strong>
          <span className="muted">credits</span>
        </div>
        <Chart buckets={buckets(mine, 24)} />
      </div>
      <div className="columns credits-columns">
        <ByCause moves={mine} before={report.next ? report.balance : undefined} />
        <Section title="Entries" aside={<Button icon="download" onClick={exportAll}>Export CSV</Button>}>
          <Entries entries={entries} settles={settles} account={node} />
        </Section>
        <div>
          <Section title="Everybody's balance">
            <table className="list compact">
              <tbody>
                {(report.balances ?? []).filter((b) => b.amount !== 0).map((b) => <tr key={b.account}><td>{b.name || (b.account.startsWith('did:') ? short(b.account) : (b.account.split(':')[0] ?? '').replace('escrow', 'held in escrow'))}</td><td className="num">{exact(b.amount)}</td></tr>)}
              </tbody>
              <tfoot><tr><td>Sum, {report.total === report.genesis ? 'equal to the genesis' : 'NOT equal to the genesis'}</td><td className="num">{exact(report.total)}</td></tr></tfoot>
            </table>
          </Section>
          <Prices />
        </div>
      </div>
    </div>
  );
}

const signed = (micro: number): string => (micro === 0 ? '–' : `${micro > 0 ? '+' : ''}${exact(micro)}`);

/** ByCause adds up to the balance. before is the balance when there are entries older than these moves. */
function ByCause({ moves: list, before }: { moves: Move[]; before: number | undefined }) {
  const rows = byCause(list);
  const sum = rows.reduce((a, r) => a + r.in + r.out, 0);
  return (
    <Section title="By cause">
      <table className="list compact by-cause">
        <thead><tr><th scope="col">For</th><th scope="col" className="num">In</th><th scope="col" className="num">Out</th><th scope="col" className="num">Sum</th></tr></thead>
        <tbody>
          {rows.map((r) => <tr key={r.kind}><td>{kinds[r.kind] ?? r.kind}</td><td className="num">{signed(r.in)}</td><td className="num">{signed(r.out)}</td><td className={`num ${r.in + r.out > 0 ? 'plus' : ''}`}>{signed(r.in + r.out)}</td></tr>)}
          {before !== undefined && <tr><td colSpan={3}>earlier entries</td><td className="num">{signed(before - sum)}</td></tr>}
        </tbody>
        <tfoot><tr><td colSpan={3}>Balance of this node</td><td className="num">{exact(before ?? sum)}</td></tr></tfoot>
      </table>
    </Section>
  );
}

function Prices() {
  const peers = useStore((s) => s.peers.value) ?? [];
  return (
    <Section title="Prices">
      <table className="list compact prices">
        <thead><tr><th scope="col">Node</th><th scope="col" className="num">GiB-month</th><th scope="col" className="num">GiB sent</th><th scope="col" className="num">Ggas</th></tr></thead>
        <tbody>{peers.filter(present).map((p) => <tr key={p.node}><td>{p.name}</td>{[p.prices.storage_gib_month, p.prices.serve_gib, p.prices.compute_ggas].map((v, i) => <td key={i} className="num">{p.self || p.seq > 0 ? credits(v) : '–'}</td>)}</tr>)}</tbody>
      </table>
      <p className="muted">A node sets its own with --price-storage, --price-serve and --price-compute.</p>
    </Section>
  );
}

const width = 640;
const height = 148;
const middle = 74;

const kindColour: Record<string, string> = { paid: 'settle', earned: 'refund', storage: 'storage', serve: 'serve', held: 'escrow', transfer: 'transfer' };

/** Chart stands income above the line and expense below it, by cause. Grants would dwarf the rest and are told in words. */
function Chart({ buckets: list }: { buckets: Bucket[] }) {
  const shown = Object.keys(kinds).filter((c) => c !== 'grant' && list.some((b) => b.byCause[c]));
  const grants = list.reduce((a, b) => a + (b.byCause.grant ?? 0), 0);
  const peak = Math.max(1, ...list.map((b) => Math.max(...[1, -1].map((sign) => shown.reduce((a, c) => a + Math.max(0, sign * (b.byCause[c] ?? 0)), 0)))));
  const step = width / Math.max(1, list.length);
  const bar = Math.min(28, step * 0.7);
  if (shown.length === 0) return <Empty icon="credits" title="Nothing has moved yet"><p>Store something or run a job, and see here what it was for.</p></Empty>;
  const total = (c: string): number => list.reduce((a, b) => a + (b.byCause[c] ?? 0), 0);
  return (
    <figure className="chart">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Credits by cause over time: ${shown.map((c) => `${kinds[c]} ${credits(total(c))}`).join(', ')}`}>
        <line x1="0" x2={width} y1={middle} y2={middle} className="axis" />
        {list.map((b, i) => {
          let up = middle;
          let down = middle;
          return shown.map((c) => {
            const v = b.byCause[c] ?? 0;
            if (v === 0) return null;
            const h = Math.max(1.5, (Math.abs(v) / peak) * (middle - 8));
            const y = v > 0 ? (up -= h) : down;
            if (v < 0) down += h;
            return <rect key={c + i} x={i * step + (step - bar) / 2} y={y} width={bar} height={h} rx="1.5" className={`cause-${kindColour[c]}`}><title>{`${clock(b.from)}, ${kinds[c]}: ${credits(v)}`}</title></rect>;
          });
        })}
      </svg>
      <figcaption>
        {shown.map((c) => <span key={c}><i className={`swatch cause-${kindColour[c]}`} />{kinds[c]} <b>{total(c) > 0 ? '+' : ''}{credits(total(c))}</b></span>)}
        {grants !== 0 && <span>grants <b>+{credits(grants)}</b>, not drawn</span>}
        <span className="grow" />
        <span className="muted">{clock(list[0]?.from ?? 0)} to {clock(list.at(-1)?.to ?? 0)}</span>
      </figcaption>
    </figure>
  );
}

const shownAtOnce = 60;

function Entries({ entries, settles, account }: { entries: Entry[]; settles: Entry[]; account: string }) {
  const peers = useStore((s) => s.peers.value);
  const [cause, setCause] = useState('');
  const [shown, setShown] = useState(shownAtOnce);
  const found = useMemo(() => entries.filter((e) => !cause || e.cause === cause), [entries, cause]);
  const present = [...new Set(entries.map((e) => e.cause))];
  const workers = useMemo(() => new Map(settles.map((e) => [e.from, e.to])), [settles]); // by escrow
  const nameOf = (account: string): string => {
    const a = workers.get(account) ?? account;
    return a.startsWith('did:') ? (peers?.find((p) => p.node === a)?.name ?? short(a)) : (a.split(':')[0] ?? a);
  };
  if (entries.length === 0) return <Empty icon="credits" title="No entries yet"><p>Each one will name its cause.</p></Empty>;
  return (
    <>
      <Tabs label="Cause" value={cause} onChange={setCause} options={[['', 'All'], ...present.map((c): [string, string] => [c, causes[c] ?? c])]} />
      <table className="list compact entries-table">
        <thead><tr><th scope="col">Time</th><th scope="col">For</th><th scope="col">With</th><th scope="col" className="num">Credits</th></tr></thead>
        <tbody>
          {found.slice(0, shown).map((e) => {
            const d = delta(e, account);
            return <tr key={e.seq}><td className="muted">{clock(e.time)}</td><td>{causes[e.cause] ?? e.cause}</td><td>{nameOf(d > 0 ? e.from : e.to)}</td><td className={`num ${d > 0 ? 'plus' : ''}`}>{d > 0 ? '+' : ''}{exact(d)}</td></tr>;
          })}
        </tbody>
      </table>
      {found.length > shown && <div className="more"><Button onClick={() => setShown(shown + 200)}>Show more of {count(found.length, 'entry', 'entries')}</Button></div>}
    </>
  );
}

