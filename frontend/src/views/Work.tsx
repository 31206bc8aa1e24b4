import { useEffect, useMemo, useState } from 'react';
import { get, messageOf, post, type Job, type ModuleInfo, type ModuleMethod, type Quote, type RunRequest } from '../lib/api';
import { ago, bytes, count, credits, duration, gas } from '../lib/format';
import { address, go, useRoute } from '../lib/route';
import { refreshModules, useStore } from '../lib/store';
import { Icon } from '../ui/Icon';
import { Badge, Button, Empty, Failure, Meter, Section, Waiting } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { Form } from '../work/Form';
import { Jobs, useNames } from '../work/Jobs';
import { Picker, type Chosen } from '../work/Picker';
import { cancel, start, useRuns, type Run } from '../work/runs';
import { fieldsOf, paramsOf, problemOf } from '../work/schema';

interface Choice {
  module: ModuleInfo;
  unit: string;
  method: ModuleMethod;
  id: string;
}

function choices(modules: ModuleInfo[]): Choice[] {
  return modules.filter((m) => !m.resident).flatMap((module) => (module.units ?? []).flatMap((u) => (u.methods ?? []).map((method) => ({ module, unit: u.name, method, id: `${module.ref ?? module.name}.${u.name}.${method.name}` }))));
}

export function Work() {
  const modules = useStore((s) => s.modules);
  const { rest } = useRoute();
  const all = useMemo(() => choices(modules.value ?? []), [modules.value]);
  const chosen = all.find((c) => c.id === rest[0]);
  if (modules.error && !modules.value) return <Failure message={modules.error} retry={() => void refreshModules()} />;
  if (!modules.value) return <Waiting lines={8} />;
  return (
    <div className={`work ${chosen ? 'has-choice' : ''}`}>
      <aside className="methods" aria-label="Methods"><Methods all={all} chosen={chosen?.id ?? ''} /></aside>
      <div className="work-main">
        {chosen ? <Composer key={chosen.id} choice={chosen} /> : <Intro />}
        <Runs />
        <History />
      </div>
    </div>
  );
}

function Intro() {
  const runs = useRuns();
  if (runs.length > 0) return null;
  return <Empty icon="work" title="Choose what to do with your files"><p>Each method is sandboxed WebAssembly. You see what it costs before it runs, and where each result came from.</p></Empty>;
}

/** forTrying says that a module serves those who build modules or measure nodes: it stands last. */
const forTrying = (m: ModuleInfo): boolean => Boolean(m.built_in) && (m.name === 'diagnostics' || m.name === 'syscalls');

function Methods({ all, chosen }: { all: Choice[]; chosen: string }) {
  const groups = new Map<string, Choice[]>();
  for (const c of [...all].sort((a, b) => Number(forTrying(a.module)) - Number(forTrying(b.module)))) groups.set(`${c.module.ref ?? c.module.name} / ${c.unit}`, [...(groups.get(`${c.module.ref ?? c.module.name} / ${c.unit}`) ?? []), c]);
  return (
    <>
      {[...groups].map(([name, list]) => (
        <div key={name} className="method-group">
          <h2>{name}</h2>
          <ul>
            {list.map((c) => (
              <li key={c.id}>
                <Anchor to={address('work', [c.id])} className={c.id === chosen ? 'on' : ''}>
                  <strong>{c.method.name}</strong>
                  <small className="muted">{(c.method.description ?? '').split('. ')[0]}</small>
                </Anchor>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}

const quoteDelay = 250;

/** useQuote asks what a run would cost, a moment after the last change. */
function useQuote(request: RunRequest | null): { quote?: Quote; error?: string } {
  const [state, setState] = useState<{ quote?: Quote; error?: string }>({});
  const text = request ? JSON.stringify(request) : '';
  useEffect(() => {
    if (!text) return setState({});
    const end = new AbortController();
    const timer = setTimeout(() => {
      post<Quote>('/v1/quotes', JSON.parse(text), end.signal).then((quote) => setState({ quote }), (e: unknown) => !end.signal.aborted && setState({ error: messageOf(e) }));
    }, quoteDelay);
    return () => { clearTimeout(timer); end.abort(); };
  }, [text]);
  return state;
}

function Composer({ choice: c }: { choice: Choice }) {
  const fields = useMemo(() => fieldsOf(c.method.params), [c.method.params]);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const [inputs, setInputs] = useState<Chosen[]>([]);
  const [node, setNode] = useState('');
  const [picking, setPicking] = useState(false);
  const peers = useStore((s) => s.peers.value) ?? [];
  const accepts = c.method.accepts ?? [];
  const hungry = accepts.length > 0 && inputs.length === 0;
  const wrong = hungry || fields.some((f) => problemOf(f, texts[f.name] ?? f.initial) !== '');
  const request: RunRequest | null = wrong ? null : {
    module: c.module.ref ?? c.module.name, unit: c.unit, method: c.method.name, params: paramsOf(fields, texts), inputs: inputs.map((i) => i.input),
    ...(node ? { node } : {}), limits: { gas: 0, memory_bytes: 0, output_bytes: 0, wall_ms: 0 }, price_cap: 0, deadline: 0,
  };
  const { quote, error } = useQuote(request);
  const files = inputs.reduce((a, i) => a + i.files, 0);
  const run = (): void => { if (request) start(request, `${c.module.name}/${c.unit}.${c.method.name}`, quote?.jobs ?? Math.max(1, files)); };
  return (
    <section className="composer" aria-labelledby="composer-title">
      <header>
        <Button icon="back" kind="quiet" label="All methods" onClick={() => go('/work')} />
        <div>
          <h2 id="composer-title">{c.module.name}/{c.unit}.{c.method.name}</h2>
          <p className="muted">{c.method.description}</p>
        </div>
      </header>
      <div className="composer-grid">
        <div>
          <h3>Inputs</h3>
          {inputs.length > 0 && (
            <ul className="chips">
              {inputs.map((i) => (
                <li key={i.input.link + (i.input.path ?? '')}>
                  <Icon name={i.files > 1 ? 'folder' : 'file'} /><span className="name">{i.name}</span><span className="muted">{i.files > 1 ? count(i.files, 'file') : bytes(i.bytes)}</span>
                  <Button icon="close" kind="quiet" label={`Leave out ${i.name}`} onClick={() => setInputs(inputs.filter((j) => j !== i))} />
                </li>
              ))}
            </ul>
          )}
          <Button icon="plus" onClick={() => setPicking(true)}>{inputs.length ? 'Change inputs' : 'Choose from Files'}</Button>
          <p className="hint muted">{accepts.length ? `Takes ${accepts.map((a) => a.replace(/^.*\//, '')).join(', ')}. One call for each file.` : 'Takes any bytes, or none. One call for each file.'}</p>
          <h3>Where</h3>
          <div className="field">
            <label htmlFor="run-node" className="hidden-text">Node</label>
            <select id="run-node" value={node} onChange={(e) => setNode(e.target.value)}>
              <option value="">any node: the one expected to finish first</option>
              {peers.filter((p) => p.online || p.self).map((p) => <option key={p.node} value={p.name}>only {p.name}</option>)}
            </select>
          </div>
        </div>
        <div>
          <h3>Parameters</h3>
          <Form fields={fields} texts={texts} onChange={(name, text) => setTexts({ ...texts, [name]: text })} />
        </div>
      </div>
      <Cost quote={quote} error={error} wrong={wrong ? (hungry ? 'Choose inputs to see the price.' : 'Fill in what is needed to see the price.') : ''}>
        <Button kind="primary" icon="work" onClick={run} disabled={!request || Boolean(error) || (quote ? !quote.affords && !quote.free_here : false)}>Run{quote && quote.jobs > 1 ? ` ${quote.jobs.toLocaleString('en')} jobs` : ''}</Button>
      </Cost>
      {picking && <Picker chosen={inputs} onDone={setInputs} onClose={() => setPicking(false)} />}
    </section>
  );
}

function Cost({ quote, error, wrong, children }: { quote: Quote | undefined; error: string | undefined; wrong: string; children: React.ReactNode }) {
  const offers = quote?.offers ?? [];
  return (
    <div className="cost">
      <div className="cost-text" aria-live="polite">
        {wrong ? <p className="muted">{wrong}</p>
          : error ? <p className="bad-text">{error}</p>
          : !quote ? <p className="muted">Asking for prices…</p>
          : (
            <>
              <p><strong>{quote.price > 0 ? `about ${credits(quote.price)} credits` : 'free'}</strong> <span className="muted">{quote.jobs > 0 ? `for ${count(quote.jobs, 'job')}, ` : ''}{quote.ceiling > 0 ? `at most ${credits(quote.ceiling)}; what is not used comes back` : ''}</span></p>
              <p className="muted">{gas(quote.gas)} expected, {quote.seen > 0 ? `from ${count(quote.seen, 'earlier job')}` : 'a guess by the size: it has not run here yet'}{quote.free_here ? ', free where this node runs it itself' : ''}. {offers.length > 0 && `Offers: ${offers.slice(0, 4).map((o) => `${o.name} ${o.price > 0 ? credits(o.price) : 'free'}`).join(', ')}.`}</p>
              {!quote.affords && !quote.free_here && <p className="bad-text">The balance of {credits(quote.balance)} does not cover the ceiling.</p>}
            </>
          )}
      </div>
      {children}
    </div>
  );
}

function Runs() {
  const runs = useRuns();
  return <>{runs.map((r) => <RunCard key={r.id} run={r} />)}</>;
}

function RunCard({ run: r }: { run: Run }) {
  const nameOf = useNames();
  const jobs = [...r.jobs.values()];
  const done = jobs.filter((j) => ['done', 'failed', 'stopped'].includes(j.state));
  const failed = done.filter((j) => j.state !== 'done').length;
  const total = Math.max(r.expected, jobs.length);
  const byNode = new Map<string, number>();
  for (const j of done) if (j.result.worker) byNode.set(nameOf(j.result.worker), (byNode.get(nameOf(j.result.worker)) ?? 0) + 1);
  const last = Math.max(0, ...done.map((j) => j.finished ?? 0));
  const spent = done.reduce((a, j) => a + j.price, 0);
  return (
    <section className="run" aria-label={`Run of ${r.method}`}>
      <header>
        <div className="grow">
          <h3>{r.method}</h3>
          <p className="muted" role="status">
            {r.running ? `${done.length} of ${total} done${jobs.some((j) => j.state === 'running') ? '' : ', waiting for a node'}` : r.error ? r.error : `${count(done.length - failed, 'job')} done in ${duration(Math.max(0, last - r.started))}${failed ? `, ${failed} failed` : ''}, ${spent > 0 ? `${credits(spent)} credits` : 'free'}`}
            {byNode.size > 0 && `. ${[...byNode].map(([n, k]) => `${n} ${k}`).join(', ')}`}
          </p>
        </div>
        {r.running ? <Button kind="danger" onClick={() => cancel(r)}>Cancel</Button> : <Badge tone={failed === done.length && failed > 0 ? 'bad' : r.error || failed ? 'warn' : 'good'}>{failed === done.length && failed > 0 ? 'failed' : r.error ? 'ended' : 'finished'}</Badge>}
      </header>
      <Meter value={done.length} max={Math.max(1, total)} label="Jobs done" tone={failed ? 'warn' : 'accent'} />
      <Jobs jobs={jobs} label={`Jobs of ${r.method}`} />
    </section>
  );
}

const historyPage = 50;

function History() {
  const [jobs, setJobs] = useState<Job[]>();
  const [next, setNext] = useState('');
  const [error, setError] = useState('');
  const runs = useRuns();
  const last = useStore((s) => s.events.findLast((e) => e.type.startsWith('job:'))?.id);
  const load = (after: string): void => {
    get<{ jobs: Job[] | null; next?: string }>(`/v1/jobs?limit=${historyPage}&after=${encodeURIComponent(after)}`).then(
      (p) => { setJobs((before) => (after ? [...(before ?? []), ...(p.jobs ?? [])] : (p.jobs ?? []))); setNext(p.next ?? ''); setError(''); },
      (e: unknown) => setError(messageOf(e)),
    );
  };
  useEffect(() => {
    const timer = setTimeout(() => load(''), 400); // a burst of finished jobs asks once
    return () => clearTimeout(timer);
  }, [last]);
  const here = new Set(runs.flatMap((r) => [...r.jobs.keys()]));
  const earlier = (jobs ?? []).filter((j) => !here.has(j.spec.id));
  const batches = new Map<string, Job[]>();
  for (const j of earlier) batches.set(j.spec.batch, [...(batches.get(j.spec.batch) ?? []), j]);
  if (error) return <Failure message={error} retry={() => load('')} />;
  if (!jobs) return <Waiting lines={4} />;
  if (earlier.length === 0) return null;
  return (
    <Section title="Earlier">
      {[...batches].map(([id, list]) => (
        <details key={id} className="batch" open={batches.size === 1}>
          <summary><strong>{list[0]?.method}</strong><span className="muted">{count(list.length, 'job')}, {ago(list[0]?.spec.submitted ?? 0)}</span><span className="grow" /><span className="muted">{credits(list.reduce((a, j) => a + j.price, 0))} cr</span></summary>
          <Jobs jobs={list} label={`Jobs of ${list[0]?.method ?? ''}`} />
        </details>
      ))}
      {next && <div className="more"><Button onClick={() => load(next)}>Show earlier</Button></div>}
    </Section>
  );
}
