// How this node supervises a module: state, calls, crashes, and the way out of quarantine.
import { useEffect, useState } from 'react';
import { get, messageOf, post, type ModuleInfo, type ModuleReport } from '../lib/api';
import { ago, count, gas } from '../lib/format';
import { useStore } from '../lib/store';
import { Badge, Button, Facts, Failure, Waiting, type Tone } from '../ui/parts';
import { notify } from '../ui/toasts';

const tones: Record<string, Tone> = { healthy: 'good', idle: 'muted', starting: 'accent', degraded: 'warn', quarantined: 'bad' };

export function Supervisor({ module: m }: { module: ModuleInfo }) {
  const [report, setReport] = useState<ModuleReport>();
  const [error, setError] = useState('');
  const [round, setRound] = useState(0);
  const last = useStore((s) => s.events.findLast((e) => e.type.startsWith('module:') || e.type.startsWith('job:'))?.id);
  useEffect(() => {
    let gone = false;
    get<ModuleReport>(`/v1/modules/${m.hash}/supervisor`).then((r) => { if (!gone) { setReport(r); setError(''); } }, (e: unknown) => !gone && setError(messageOf(e)));
    return () => { gone = true; };
  }, [m.hash, last, round]);
  if (error) return <Failure message={error} retry={() => setRound(round + 1)} />;
  if (!report) return <Waiting lines={4} />;
  const reset = (): void => void post(`/v1/modules/${m.hash}/reset`, {}).then(
    () => { notify(`${m.name} may run again`); setRound(round + 1); },
    (e: unknown) => notify(messageOf(e), 'bad'),
  );
  const kept = report.kept_out ?? [];
  return (
    <>
      <Facts rows={[
        ['State', <span key="s"><Badge tone={tones[report.state] ?? 'muted'}>{report.state}</Badge> {report.reason}</span>],
        ['Calls', `${count(report.calls, 'call')}, ${report.running} running, ${report.queued} waiting`],
        ['Gas used', gas(report.gas)],
        ['Crashes', `${count(report.crashes, 'crash', 'crashes')}${report.crashed ? `, the last ${ago(report.crashed)}` : ''}, ${count(report.restarts, 'restart')}`],
        ['Turned away', count(report.turned_away, 'call')],
        ...(kept.length ? ([['Kept out', count(kept.length, 'payer')]] as [string, string][]) : []),
      ]} />
      {(report.state === 'quarantined' || kept.length > 0) && <Button onClick={reset}>Let it run again</Button>}
    </>
  );
}
