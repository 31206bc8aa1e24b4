// The node's numbers, by what they are about.
import { useEffect, useMemo, useState } from 'react';
import { messageOf, send } from '../lib/api';
import { groups, parseMetrics, type Metric, type Shown } from '../lib/metrics';
import { Button, CopyButton, Empty, Failure, Section, Waiting } from '../ui/parts';

const sampleEvery = 2000;
const maxSamples = 60;

interface Sample { text: string; metrics: Metric[]; values: Map<string, number> }

/** useSamples reads the metrics while they are seen; text is the newest as the node wrote it. */
function useSamples(): { samples: Sample[]; error: string } {
  const [samples, setSamples] = useState<Sample[]>([]);
  const [error, setError] = useState('');
  useEffect(() => {
    let gone = false;
    const ask = (): void => {
      if (document.visibilityState !== 'visible') return;
      send('/metrics').then((r) => r.text()).then(
        (text) => {
          if (gone) return;
          const metrics = parseMetrics(text);
          setSamples((s) => [...s, { text, metrics, values: new Map(metrics.map((m) => [m.name + m.labels, m.value])) }].slice(-maxSamples));
          setError('');
        },
        (e: unknown) => { if (!gone) setError(messageOf(e)); },
      );
    };
    ask();
    const timer = setInterval(ask, sampleEvery);
    return () => { gone = true; clearInterval(timer); };
  }, []);
  return { samples, error };
}

export function Metrics() {
  const { samples, error } = useSamples();
  const [query, setQuery] = useState('');
  const latest = samples.at(-1);
  const found = useMemo(() => groups(latest?.metrics ?? [], query), [latest, query]);
  if (!latest) return error ? <Failure message={error} /> : <Waiting lines={10} />;
  return (
    <Section title="Metrics" aside={<CopyButton text={latest.text} label="Copy the raw text" />}>
      <div className="bar">
        <input className="filter" type="search" value={query} onChange={(e) => setQuery(e.target.value)} placeholder="Filter" aria-label="Filter the metrics" />
        <span className={error ? 'bad-text' : 'muted'}>{error || 'every 2 s while this is open'}</span>
      </div>
      {found.length === 0 && <Empty icon="node" title="Nothing matches"><Button onClick={() => setQuery('')}>Show all</Button></Empty>}
      <div className="metrics">
        {found.map(([group, list]) => (
          <section key={group} className="metric-group" aria-label={group}>
            <h3>{group}</h3>
            <dl>{list.map((m) => <Row key={m.key} metric={m} history={samples.map((s) => s.values.get(m.key) ?? 0)} />)}</dl>
          </section>
        ))}
      </div>
    </Section>
  );
}

function Row({ metric: m, history }: { metric: Shown; history: number[] }) {
  return (
    <div className={m.trouble ? 'trouble' : m.value === 0 ? 'zero' : ''} title={m.key}>
      <dt>{m.label}{m.of && <small className="break">{m.of}</small>}</dt>
      <dd><Spark history={history} />{m.text}</dd>
    </div>
  );
}

/** Spark draws how a value went while this was open, once it has moved. */
function Spark({ history }: { history: number[] }) {
  const low = Math.min(...history);
  const range = Math.max(...history) - low;
  if (range === 0) return null;
  const points = history.map((v, i) => `${(i / (history.length - 1)) * 48},${14 - ((v - low) / range) * 12}`).join(' ');
  return <svg viewBox="0 0 48 16" width="48" height="16" aria-hidden="true"><polyline points={points} /></svg>;
}
