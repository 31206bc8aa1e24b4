// Jobs as a list: what each did, where, for how much, and what came out.
import { useState } from 'react';
import { download, messageOf, parseLink, type Job } from '../lib/api';
import { ago, bytes, clock, count, credits, duration, gas, short } from '../lib/format';
import { address } from '../lib/route';
import { useStore } from '../lib/store';
import { Preview, kindOf, useTicket } from '../files/Preview';
import { Icon } from '../ui/Icon';
import { Badge, Button, CopyButton, Dialog, Facts, Failure, type Tone } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { notify } from '../ui/toasts';
import { cancelJob } from './runs';

const tones: Record<string, Tone> = { done: 'good', failed: 'bad', stopped: 'warn', running: 'accent', queued: 'muted', quoted: 'muted' };
const final = (j: Job): boolean => ['done', 'failed', 'stopped'].includes(j.state);

export function useNames(): (id: string) => string {
  const peers = useStore((s) => s.peers.value);
  return (id) => peers?.find((p) => p.node === id)?.name ?? (id ? short(id) : '');
}

/** resultName is what a job's output is called when it is saved. */
export function resultName(j: Job): string {
  const ending: Record<string, string> = { 'image/jpeg': '.jpg', 'image/png': '.png', 'image/webp': '.webp', 'application/json': '.json', 'text/plain': '.txt', 'text/csv': '.csv' };
  const base = (j.name || j.spec.method).replace(/^.*\//, '').replace(/\.[^.]*$/, '');
  return `${base}-${j.spec.method}${ending[(j.result.media_type ?? '').split(';')[0] ?? ''] ?? ''}`;
}

function Thumb({ job }: { job: Job }) {
  const { url } = useTicket(job.result.output, '');
  return <span className="thumb">{url && <img src={url} alt="" loading="lazy" />}</span>;
}

export function Jobs({ jobs, label }: { jobs: Job[]; label: string }) {
  const [open, setOpen] = useState<Job>();
  const nameOf = useNames();
  const current = open && (jobs.find((j) => j.spec.id === open.spec.id) ?? open);
  return (
    <>
      <ul className="jobs" aria-label={label}>
        {jobs.map((j) => (
          <li key={j.spec.id}>
            <button type="button" onClick={() => setOpen(j)}>
              {j.state === 'done' && kindOf('', j.result.media_type ?? '') === 'picture' ? <Thumb job={j} /> : <span className="thumb"><Icon name={j.state === 'failed' ? 'warn' : 'file'} /></span>}
              <span className="grow job-name"><span className="name">{j.name || j.method}</span><small className="muted">{final(j) ? (j.state === 'done' ? `${nameOf(j.result.worker)}, ${duration(j.result.run_us / 1000)}, ${bytes(j.result.output_bytes)}` : (j.result.message || j.error || j.state)) : j.result.worker ? `on ${nameOf(j.result.worker)}` : 'waits for a node'}</small></span>
              <span className="figure muted job-price">{j.state === 'done' ? (j.price > 0 ? `${credits(j.price)} cr` : 'free') : ''}</span>
              <Badge tone={tones[j.state] ?? 'muted'}>{j.state}</Badge>
            </button>
          </li>
        ))}
      </ul>
      {current && <JobDialog job={current} nameOf={nameOf} onClose={() => setOpen(undefined)} />}
    </>
  );
}

function JobDialog({ job: j, nameOf, onClose }: { job: Job; nameOf: (id: string) => string; onClose: () => void }) {
  const output = j.state === 'done' && j.result.output ? j.result.output : '';
  const input = parseLink(j.spec.input);
  const events = useStore((s) => s.events).filter((e) => e.subject === j.spec.id);
  return (
    <Dialog title={j.name || j.method} onClose={onClose} wide>
      {output && <Preview link={output} path="" name={resultName(j)} mediaType={j.result.media_type ?? ''} size={j.result.output_bytes} />}
      {j.state === 'failed' && <Failure message={j.result.message || `it failed: ${j.error ?? 'no reason was given'}`} />}
      <Facts rows={[
        ['State', <Badge key="s" tone={tones[j.state] ?? 'muted'}>{j.state}</Badge>],
        ['Method', <code key="m">{j.method}</code>],
        ['Input', input ? <Anchor key="i" to={address('files', [input.root], { path: j.spec.input_path ?? '' })}>{j.spec.input_path || j.name || 'open it'}</Anchor> : 'none'],
        ['Parameters', <code key="p">{JSON.stringify(j.spec.params ?? {})}</code>],
        ['Ran on', j.result.worker ? nameOf(j.result.worker) : 'no node yet'],
        ['Time inside', j.result.run_us ? duration(j.result.run_us / 1000) : 'none'],
        ['Gas', gas(j.result.gas)],
        ['Price', j.price > 0 ? `${credits(j.price)} credits` : 'free'],
        ['Attempts', count(j.attempts, 'attempt')],
        ['Output', output ? `${bytes(j.result.output_bytes)}, ${j.result.media_type ?? ''}` : 'none'],
        ['Output hash', output ? <code key="h" className="break">{j.result.output_hash}</code> : 'none'],
      ]} />
      {j.result.log && <pre className="job-log" tabIndex={0} aria-label="What the module logged">{j.result.log}</pre>}
      <ol className="timeline">
        <li><time>{clock(j.spec.submitted)}</time><span>submitted {ago(j.spec.submitted)}</span></li>
        {events.map((e) => <li key={e.id}><time>{clock(Date.parse(e.time))}</time><span>{e.type.split(':').at(-1)}</span></li>)}
        {j.finished ? <li><time>{clock(j.finished)}</time><span>{j.state} after {duration(j.finished - j.spec.submitted)}</span></li> : null}
      </ol>
      <footer>
        <span className="grow muted mono">{j.spec.id.slice(0, 12)}</span>
        {!final(j) && <Button kind="danger" onClick={() => void cancelJob(j.spec.id).catch((e: unknown) => notify(messageOf(e), 'bad'))}>Cancel this job</Button>}
        {output && <CopyButton text={output} label="Copy link" />}
        {output && <Button icon="download" kind="primary" onClick={() => void download(output, '', false, resultName(j)).catch((e: unknown) => notify(messageOf(e), 'bad'))}>Download</Button>}
      </footer>
    </Dialog>
  );
}
