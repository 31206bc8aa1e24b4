// A resident module on this node: what it takes to start, what it does, and its end.
import { useEffect, useMemo, useRef, useState } from 'react';
import { get, messageOf, post, type ModuleInfo, type Resident } from '../lib/api';
import { ago, bytes, gas } from '../lib/format';
import { useStore } from '../lib/store';
import { address } from '../lib/route';
import { watch } from '../lib/watch';
import { Form } from '../work/Form';
import { fieldsOf, paramsOf, problemOf } from '../work/schema';
import { Badge, Button, Facts, Failure, Waiting, type Tone } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { notify } from '../ui/toasts';
import { Supervisor } from '../views/Supervisor';

const tones: Record<string, Tone> = { running: 'good', starting: 'accent', restarting: 'warn', failed: 'bad', quarantined: 'bad' };
const alive = (r: Resident | undefined): r is Resident => r !== undefined && ['starting', 'running', 'restarting'].includes(r.state);
const MOST_WORKERS = 8;
const SAMPLE = 1000; // ms between looks at one that runs
const SAMPLE_FAILED = 5000; // ms after a look that failed

interface Look { resident: Resident | undefined; rate: number | undefined }

/** useResident looks at a module's resident, and again while it runs and is seen. error is why the newest look failed; look is the one before then. */
function useResident(hash: string): { look: Look | undefined; error: string; again: () => void } {
  const [look, setLook] = useState<Look>();
  const [error, setError] = useState('');
  const [round, setRound] = useState(0);
  const going = useRef(false); // whether it ran at the last look
  const last = useStore((s) => s.events.findLast((e) => e.type.startsWith('module:'))?.id);
  useEffect(() => {
    let before: { at: number; steps: number } | undefined;
    return watch({
      look: async (signal) => {
        const all = (await get<Resident[] | null>('/v1/residents', undefined, signal)) ?? [];
        const resident = all.find((r) => r.hash === hash), at = performance.now();
        const rate = before && resident && resident.steps >= before.steps ? ((resident.steps - before.steps) * 1000) / (at - before.at) : undefined;
        if (signal.aborted) return false;
        setLook({ resident, rate });
        setError('');
        before = resident && { at, steps: resident.steps };
        going.current = alive(resident);
        return going.current;
      },
      failed: (e) => setError(messageOf(e)),
      seen: () => document.visibilityState === 'visible',
      every: SAMPLE, afterFailure: SAMPLE_FAILED, going: going.current,
    });
  }, [hash, last, round]);
  return { look, error, again: () => setRound((n) => n + 1) };
}

export function ResidentPanel({ module: m }: { module: ModuleInfo }) {
  const { look, error, again } = useResident(m.hash);
  const [busy, setBusy] = useState(false);
  if (error && !look) return <Failure message={error} retry={again} />;
  if (!look) return <Waiting lines={3} />;
  const r = look.resident;
  const act = async (what: 'start' | 'stop', body: unknown): Promise<void> => {
    setBusy(true);
    try {
      await post(`/v1/modules/${m.hash}/${what}`, body);
    } catch (e) {
      notify(`${m.name} was not ${what === 'start' ? 'started' : 'stopped'}: ${messageOf(e)}`, 'bad');
    } finally {
      setBusy(false);
      again();
    }
  };
  return (
    <>
      {error && <Failure message={error} retry={again} />}
      {r && (
        <Facts rows={[
          ['State', <span key="s"><Badge tone={tones[r.state] ?? 'muted'}>{r.state}</Badge> {r.error ?? ''}</span>],
          ...(alive(r) ? ([['Since', ago(r.started)]] as [string, string][]) : []),
          ['Workers', String(r.workers)],
          ['Steps', `${r.steps.toLocaleString('en')}${alive(r) && look.rate !== undefined ? `, ${look.rate.toFixed(0)} a second` : ''}`],
          ['Gas used', gas(r.gas)],
          ['Its states', r.states?.length ? r.states.join(', ') : 'none yet'],
          ['Its memory', <Anchor key="a" to={address('modules', ['arena'])}>in the arena at {bytes(r.region)}</Anchor>],
        ]} />
      )}
      {alive(r)
        ? <Button icon="close" disabled={busy} onClick={() => void act('stop', {})}>{busy ? 'Stopping…' : 'Stop'}</Button>
        : look.resident?.state === 'quarantined' ? <Supervisor module={m} />
        : <Starter module={m} busy={busy} start={(body) => void act('start', body)} />}
    </>
  );
}

function Starter({ module: m, busy, start }: { module: ModuleInfo; busy: boolean; start: (body: unknown) => void }) {
  const method = m.units?.[0]?.methods?.find((q) => q.name === 'start');
  const fields = useMemo(() => fieldsOf(method?.params), [method]);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const [workers, setWorkers] = useState(1);
  const [rate, setRate] = useState('30');
  const wrong = fields.some((f) => problemOf(f, texts[f.name] ?? f.initial) !== '') || !(Number(rate) >= 0 && Number(rate) <= 10_000) || rate === '';
  return (
    <form className="starter" onSubmit={(e) => { e.preventDefault(); if (!wrong) start({ params: paramsOf(fields, texts), workers, rate: Number(rate) }); }}>
      <p className="muted">It does not run here. Started, it works in this node&apos;s shared memory until it is stopped.</p>
      <Form fields={fields} texts={texts} onChange={(name, text) => setTexts({ ...texts, [name]: text })} />
      <div className="field">
        <label htmlFor="resident-workers">Workers</label>
        <select id="resident-workers" value={workers} onChange={(e) => setWorkers(Number(e.target.value))}>
          {Array.from({ length: MOST_WORKERS }, (_, i) => <option key={i} value={i + 1}>{i + 1}</option>)}
        </select>
      </div>
      <div className="field">
        <label htmlFor="resident-rate">Steps a second, at most</label>
        <input id="resident-rate" type="number" inputMode="decimal" min={0} max={10_000} value={rate} aria-describedby="resident-rate-doc" onChange={(e) => setRate(e.target.value)} />
        <small id="resident-rate-doc" className="muted">0: as many as it can.</small>
      </div>
      <Button kind="primary" icon="play" type="submit" disabled={busy || wrong}>{busy ? 'Starting…' : 'Start'}</Button>
    </form>
  );
}
