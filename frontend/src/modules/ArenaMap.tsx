// The arena as it is now: where everything lies, which event counters move, what waits in rings.
import { useEffect, useRef, useState } from 'react';
import { get, messageOf, type ArenaMap as Map_, type ArenaRegion } from '../lib/api';
import { bytes, count } from '../lib/format';
import { go } from '../lib/route';
import { Badge, Button, Facts, Failure, Meter, Section, Waiting } from '../ui/parts';

/** sampleEvery is how often a seen map is asked for anew: an answer costs the node 0.2 ms. */
const sampleEvery = 500;

/** Moved is what changed since the sample before. */
interface Sample { map: Map_; at: number; epochs: Map<number, number>; states: Map<string, number> }

function changes(map: Map_, before: Sample | undefined): Sample {
  const at = performance.now();
  const seconds = before ? (at - before.at) / 1000 : 0;
  const per = (now: number, then: number | undefined): number => (then === undefined || seconds === 0 ? 0 : ((now - then) >>> 0) / seconds);
  return {
    map, at,
    epochs: new Map((map.epochs ?? []).map((e) => [e.index, per(e.value, before?.map.epochs?.find((x) => x.index === e.index)?.value)])),
    states: new Map((map.states ?? []).map((s) => [s.name, per(s.version, before?.map.states?.find((x) => x.name === s.name)?.version)])),
  };
}

/** useArena samples the arena of the node while the view is seen. */
function useArena(): { sample?: Sample; error: string } {
  const [sample, setSample] = useState<Sample>();
  const [error, setError] = useState('');
  useEffect(() => {
    const end = new AbortController();
    const ask = (): void => {
      if (document.visibilityState !== 'visible') return;
      get<Map_>('/v1/arena', undefined, end.signal).then(
        (m) => { setSample((s) => changes(m, s)); setError(''); },
        (e: unknown) => { if (!end.signal.aborted) setError(messageOf(e)); },
      );
    };
    ask();
    const timer = setInterval(ask, sampleEvery);
    return () => { clearInterval(timer); end.abort(); };
  }, []);
  return sample ? { sample, error } : { error };
}

export function ArenaMap() {
  const { sample, error } = useArena();
  if (error && !sample) return <Failure message={error} />;
  if (!sample) return <Waiting lines={8} label="Reading the arena" />;
  const { map } = sample;
  return (
    <article className="module arena">
      <header>
        <Button icon="back" kind="quiet" label="All modules" onClick={() => go('/modules')} />
        <h2>Shared memory</h2><span className="muted">{map.tier}, {bytes(map.size)}, layout version {map.version}</span>
      </header>
      <p className="lead">What the parts of this node share: every region, event counter and ring, as it is now. Other programs on this machine can read it as it happens.</p>
      <Section title="Regions"><Regions map={map} /></Section>
      <Section title="Event counters"><Epochs sample={sample} /></Section>
      <Section title="States"><States sample={sample} /></Section>
      <Section title="Rings"><Rings map={map} /></Section>
      <Section title="Heap"><Heap map={map} /></Section>
      <Section title="Attached programs"><Leases map={map} /></Section>
    </article>
  );
}

/** shareOf is how full a region is; the heap and the event log count bytes, tables elements. */
const shareOf = (r: ArenaRegion): number => r.used / (r.count > 1 ? r.count : r.size);

function Regions({ map }: { map: Map_ }) {
  const regions = map.regions ?? [];
  const [chosen, setChosen] = useState('');
  const shown = regions.find((r) => r.name === chosen);
  // Widths by the logarithm of the size: a page of header and a heap of megabytes are both seen.
  const weight = (r: ArenaRegion): number => Math.log2(Math.max(2, r.size / 512));
  return (
    <>
      <div className="arena-strip" role="group" aria-label="Regions by offset">
        {regions.map((r) => (
          <button
            key={r.name} type="button" aria-pressed={r.name === chosen} style={{ flexGrow: weight(r) }}
            aria-label={`${r.name}, ${bytes(r.size)} from ${hex(r.offset)}, ${Math.round(shareOf(r) * 100)} % used`} title={`${r.name}, ${bytes(r.size)}`}
            onClick={() => setChosen(r.name === chosen ? '' : r.name)}
          ><span style={{ height: `${Math.max(r.used > 0 ? 4 : 0, Math.sqrt(shareOf(r)) * 100)}%` }} /></button>
        ))}
      </div>
      <p className="muted arena-note">{shown ? `${shown.name}: ${shown.doc}. ${bytes(shown.size)} from ${hex(shown.offset)}, ${shown.count > 1 ? `${shown.used.toLocaleString('en')} of ${shown.count.toLocaleString('en')} in use` : `${bytes(shown.used)} in use`}, written by ${shown.owner}.` : 'Widths show sizes on a logarithmic scale, heights the root of what is in use. Choose a region to read about it.'}</p>
    </>
  );
}

const hex = (n: number): string => `0x${n.toString(16)}`;
const perSecond = (n: number): string => (n === 0 ? '' : n < 10 ? `${n.toFixed(1)}/s` : `${Math.round(n).toLocaleString('en')}/s`);

function Epochs({ sample }: { sample: Sample }) {
  const seen = useRef(new Set<number>());
  const cells = (sample.map.epochs ?? []).filter((e) => {
    if (e.name || e.value > 0 || e.waiting > 0) seen.current.add(e.index); // once shown, a cell keeps its place
    return seen.current.has(e.index);
  });
  return (
    <ul className="epochs">
      {cells.map((e) => {
        const speed = sample.epochs.get(e.index) ?? 0;
        return (
          <li key={e.index} className={speed > 0 ? 'moving' : ''}>
            <span>{e.name || `cell ${e.index}`}</span>
            <strong>{e.value.toLocaleString('en')}</strong>
            <small className="muted">{perSecond(speed) || (e.waiting + e.asleep > 0 ? `${e.waiting + e.asleep} asleep` : 'at rest')}</small>
          </li>
        );
      })}
    </ul>
  );
}

function States({ sample }: { sample: Sample }) {
  const states = sample.map.states ?? [];
  if (states.length === 0) return <p className="muted">No named state.</p>;
  return (
    <table className="list compact">
      <thead><tr><th scope="col">State</th><th scope="col" className="num">Version</th><th scope="col" className="num">Rate</th><th scope="col" className="num">Bytes</th></tr></thead>
      <tbody>{states.map((s) => <tr key={s.name}><td><code>{s.name}</code></td><td className="num">{s.version.toLocaleString('en')}</td><td className="num">{perSecond(sample.states.get(s.name) ?? 0) || '–'}</td><td className="num">{bytes(s.bytes)}</td></tr>)}</tbody>
    </table>
  );
}

function Rings({ map }: { map: Map_ }) {
  const rings = map.rings ?? [];
  if (rings.length === 0) return <p className="muted">No ring is in use: instances that make system calls, sensors and attached programs have them.</p>;
  return (
    <ul className="rings">
      {rings.map((r) => (
        <li key={r.name}>
          <code>{r.name}</code>
          <Meter value={r.used} max={r.capacity} label={`${r.name}: bytes waiting`} {...(r.used > r.capacity * 0.9 ? { tone: 'warn' as const } : {})} />
          <span className="muted">{bytes(r.used)} of {bytes(r.capacity)} waiting</span>
        </li>
      ))}
    </ul>
  );
}

function Heap({ map }: { map: Map_ }) {
  const h = map.heap;
  const faults = h.faults.twice + h.faults.foreign + h.faults.stray;
  return (
    <>
      <Meter value={h.used} max={h.size} label="Heap in use" />
      <Facts rows={[
        ['In use', `${bytes(h.used)} of ${bytes(h.size)} in ${count(h.spans, 'span')}, at most ${bytes(h.peak)} so far`],
        ['Free', `${bytes(h.free)} in ${count(h.blocks, 'block')}, the largest ${bytes(h.largest)}`],
        ['Refused', count(h.denied, 'allocation')],
        ['Faults', faults + h.faults.leaks === 0 ? 'none' : `${count(faults, 'wrong free')}, ${count(h.faults.leaks, 'leak')} of ${bytes(h.faults.leaked)}`],
      ]} />
      <table className="list compact">
        <thead><tr><th scope="col">Owner</th><th scope="col" className="num">Holds</th><th scope="col" className="num">Spans</th><th scope="col" className="num">Peak</th></tr></thead>
        <tbody>{(h.owners ?? []).map((o) => <tr key={o.owner}><td>{o.name || `owner ${o.owner}`}</td><td className="num">{bytes(o.bytes)}</td><td className="num">{o.spans.toLocaleString('en')}</td><td className="num">{bytes(o.peak)}</td></tr>)}</tbody>
      </table>
    </>
  );
}

function Leases({ map }: { map: Map_ }) {
  const leases = map.leases ?? [];
  if (leases.length === 0) return <p className="muted">None. {map.socket && <>A program attaches through <code className="break">{map.socket}</code>.</>}</p>;
  return (
    <ul className="rings">
      {leases.map((l) => (
        <li key={l.lease}>
          <span>{l.name || 'unnamed'} <span className="muted">process {l.pid}</span></span>
          <Badge tone={l.role === 'write' ? 'accent' : 'muted'}>{l.role === 'write' ? 'has regions of its own' : 'reads'}</Badge>
          <span className="muted">{count(l.watches, 'watch', 'watches')}, {bytes(l.bytes)}</span>
        </li>
      ))}
    </ul>
  );
}
