import { useEffect, useState } from 'react';
import { get, messageOf, send, type Check, type LogLine, type Setting } from '../lib/api';
import { bytes, clock, count, duration } from '../lib/format';
import { describe } from '../lib/events';
import { parseMetrics, title, type Metric } from '../lib/metrics';
import { address, go, useRoute } from '../lib/route';
import { useMode } from '../lib/mode';
import { useStore } from '../lib/store';
import { Badge, Button, Confirm, CopyButton, Empty, Facts, Failure, Meter, Section, Tabs, Waiting, type Tone } from '../ui/parts';
import { notify } from '../ui/toasts';
import { ThisTab } from '../tab/ThisTab';

type Part = 'health' | 'tab' | 'settings' | 'log' | 'metrics';
const parts: [Part, string][] = [['health', 'Health'], ['tab', 'This tab'], ['settings', 'Settings'], ['log', 'Log'], ['metrics', 'Metrics']];

export function Node() {
  const { rest } = useRoute();
  const part = parts.find(([p]) => p === rest[0])?.[0] ?? 'health';
  return (
    <div className="node-view">
      <Tabs label="Parts" value={part} options={parts} onChange={(p) => go(address('node', p === 'health' ? [] : [p]))} />
      {part === 'health' && <Health />}
      {part === 'tab' && <ThisTab />}
      {part === 'settings' && <Settings />}
      {part === 'log' && <Log />}
      {part === 'metrics' && <Metrics />}
    </div>
  );
}

/** useAnswer asks once, and again when told to. */
function useAnswer<T>(ask: () => Promise<T>, deps: unknown[]): { value?: T; error?: string; again: () => void } {
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    ask().then((value) => !gone && setState({ value }), (e: unknown) => !gone && setState((s) => ({ ...s, error: messageOf(e) })));
    return () => { gone = true; };
    // eslint: ask is rebuilt on every render and always asks the same
  }, [round, ...deps]);
  return { ...state, again: () => setRound(round + 1) };
}

const tones: Record<string, Tone> = { ok: 'good', warn: 'warn', fail: 'bad' };

function Health() {
  const s = useStore((st) => st.status.value);
  const doctor = useAnswer(() => get<Check[]>('/v1/doctor'), []);
  const [stopping, setStopping] = useState(false);
  const native = useMode() === 'node';
  if (!s) return <Waiting lines={8} />;
  const room = s.store.quota || s.store.bytes + s.store.free;
  return (
    <div className="columns">
      <Section title="Doctor" aside={<Button onClick={doctor.again}>Check again</Button>}>
        {doctor.error && <Failure message={doctor.error} retry={doctor.again} />}
        {!doctor.value && !doctor.error && <Waiting lines={8} label="Checking" />}
        <ul className="checks">
          {(doctor.value ?? []).map((c) => (
            <li key={c.name}>
              <Badge tone={tones[c.state] ?? 'muted'}>{c.state}</Badge>
              <div><strong>{c.name}</strong><p className="muted break">{c.detail}</p>{c.fix && <p>{c.fix}</p>}</div>
            </li>
          ))}
        </ul>
      </Section>
      <div>
        <Section title="This node">
          <Facts rows={[
            ['Name', s.name],
            ['Roles', s.roles.split('+').join(', ')],
            ['Version', s.version],
            ['Up for', duration(s.uptime_seconds * 1000)],
            ['Jobs', `${s.jobs_running} running, ${s.jobs_queued} waiting`],
            ['Memory', bytes(s.rss)],
            ['Data', native ? <code key="d" className="break">{s.dir}</code> : 'in this browser'],
            ['Id', <CopyButton key="i" text={s.node} label="Copy the id" kind="quiet" />],
          ]} />
        </Section>
        <Section title="Storage">
          <Meter value={s.store.bytes} max={room} label="Storage used" />
          <p className="muted">{bytes(s.store.bytes)} in {count(s.store.blocks, 'block')}, {bytes(s.store.free)} free{s.store.quota ? ` of a quota of ${bytes(s.store.quota)}` : ''}</p>
          {s.store.quarantined > 0 && <p className="bad-text">{count(s.store.quarantined, 'damaged block')} set aside</p>}
        </Section>
        {native && <>
        <Section title="Reachable at">
          <ul className="addresses">{(s.addrs ?? []).map((a) => <li key={a}><code className="break">{a.replace(/\/p2p\/.*/, '')}</code></li>)}</ul>
        </Section>
        <Section title="Stop">
          <p className="muted">The node drains its work and ends. Start it again with <code>inos up</code>.</p>
          <Button kind="danger" onClick={() => setStopping(true)}>Stop this node</Button>
        </Section>
        </>}
      </div>
      {stopping && (
        <Confirm title={`Stop ${s.name}?`} action="Stop the node" onClose={() => setStopping(false)} onConfirm={async () => { await send('/v1/shutdown', { method: 'POST' }); notify('The node is stopping'); }}>
          <p>This page stops answering with it. Other nodes keep what is stored, and go on.</p>
        </Confirm>
      )}
    </div>
  );
}

function valueText(v: unknown): string {
  if (Array.isArray(v)) return v.join(', ');
  return v === null || v === undefined || v === 0 ? '' : String(v);
}

function Settings() {
  const { value, error, again } = useAnswer(() => get<Setting[]>('/v1/settings'), []);
  if (error) return <Failure message={error} retry={again} />;
  if (!value) return <Waiting lines={10} />;
  return (
    <Section title="Settings in force">
      <p className="muted">A setting is a flag of inos up, a line of the configuration file, or a variable INOS_NAME. It counts from the next start.</p>
      <table className="list settings">
        <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th><th scope="col">What it does</th></tr></thead>
        <tbody>{value.map((s) => <tr key={s.key}><td><code>{s.key}</code></td><td className="break">{valueText(s.value) || <span className="muted">default</span>}</td><td className="muted">{s.source}</td><td className="muted">{s.doc}</td></tr>)}</tbody>
      </table>
    </Section>
  );
}

function Log() {
  const events = useStore((s) => s.events);
  const peers = useStore((s) => s.peers.value);
  const [query, setQuery] = useState('');
  const last = events.at(-1)?.id;
  const log = useAnswer(() => get<LogLine[]>('/v1/log'), [last]);
  const q = query.toLowerCase();
  const nameOf = (id: string | undefined): string => peers?.find((p) => p.node === id)?.name ?? '';
  const rows = [
    ...events.map((e) => ({ time: Date.parse(e.time), what: e.type, text: (e.type.startsWith('mesh:member') ? `${nameOf(e.subject)} ` : '') + describe(e), tone: e.type.endsWith('failed') || e.type.endsWith('gone') || e.type.endsWith('suspected') ? 'bad' : '' })),
    ...(log.value ?? []).map((l) => ({ time: l.time, what: l.level.toLowerCase(), text: l.message, tone: l.level === 'ERROR' || l.level === 'WARN' ? 'bad' : '' })),
  ].filter((r) => `${r.what} ${r.text}`.toLowerCase().includes(q)).sort((a, b) => b.time - a.time).slice(0, 400);
  return (
    <Section title="What happened" aside={<input className="filter" type="search" value={query} onChange={(e) => setQuery(e.target.value)} placeholder="Filter" aria-label="Filter the log" />}>
      {log.error && <Failure message={log.error} retry={log.again} />}
      {rows.length === 0 ? <Empty icon="node" title={q ? 'Nothing matches' : 'Nothing has happened yet'} /> : (
        <ol className="log" tabIndex={0} aria-label="Log, newest first">
          {rows.map((r, i) => <li key={i} className={r.tone}><time>{clock(r.time)}</time><code>{r.what}</code><span className="break">{r.text}</span></li>)}
        </ol>
      )}
    </Section>
  );
}

const sampleEvery = 2000;
const maxSamples = 60;

function Metrics() {
  const [samples, setSamples] = useState<{ at: number; metrics: Metric[] }[]>([]);
  const [error, setError] = useState('');
  useEffect(() => {
    const ask = (): void => {
      if (document.visibilityState !== 'visible') return;
      send('/metrics').then((r) => r.text()).then(
        (t) => { setSamples((s) => [...s, { at: Date.now(), metrics: parseMetrics(t) }].slice(-maxSamples)); setError(''); },
        (e: unknown) => setError(messageOf(e)),
      );
    };
    ask();
    const timer = setInterval(ask, sampleEvery);
    return () => clearInterval(timer);
  }, []);
  const latest = samples.at(-1);
  if (error && !latest) return <Failure message={error} />;
  if (!latest) return <Waiting lines={10} />;
  return (
    <Section title="Metrics" aside={<span className="muted">every 2 s while this is open</span>}>
      <ul className="metrics">
        {latest.metrics.map((m) => <MetricCard key={m.name + m.labels} metric={m} history={samples.map((s) => s.metrics.find((x) => x.name === m.name && x.labels === m.labels)?.value ?? 0)} />)}
      </ul>
    </Section>
  );
}

function MetricCard({ metric: m, history }: { metric: Metric; history: number[] }) {
  const low = Math.min(...history);
  const range = Math.max(...history) - low;
  const points = history.map((v, i) => `${(i / Math.max(1, history.length - 1)) * 100},${range ? 22 - ((v - low) / range) * 20 : 22}`).join(' ');
  return (
    <li title={m.name + m.labels}>
      <span className="muted">{title(m.name)}{m.labels && <small> {m.labels.slice(1, -1)}</small>}</span>
      <strong>{/bytes/.test(m.name) ? bytes(m.value) : m.value.toLocaleString('en')}</strong>
      <svg viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"><polyline points={points} /></svg>
    </li>
  );
}

