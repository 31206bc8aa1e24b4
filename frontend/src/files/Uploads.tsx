// The tray of uploads: one progress for bytes sent and copies signed for.
import { useState } from 'react';
import { bytes, count } from '../lib/format';
import { address, go } from '../lib/route';
import { parseLink } from '../lib/api';
import { Button, Meter } from '../ui/parts';
import { useFading } from '../ui/fading';
import { Icon } from '../ui/Icon';
import { dismiss, dismissEnded, retry, running, useUploadNews, useUploads, type Running } from './uploads';

function says(u: Running): string {
  const p = u.report.progress;
  switch (u.state) {
    case 'waiting': return 'waits for its turn';
    case 'failed': return u.error ?? 'failed';
    case 'done': return `kept: ${count(p?.nodes ?? 1, 'node')} signed for ${count(p?.blocks ?? 0, 'block')}${p?.known ? `, ${p.known} were there already` : ''}`;
  }
  if (u.report.waiting) return u.report.waiting;
  const sent = `${bytes(u.report.sent)} of ${bytes(u.report.length)}`;
  return p && p.blocks > 0 ? `${sent}, ${p.acked} of ${p.blocks} blocks signed for` : sent;
}

const keptTime = 6000; // that what was kept stays in sight
const failuresInSight = 3;

/** Uploads is one notice for all of them. */
export function Uploads() {
  const list = useUploads();
  const news = useUploadNews();
  return (
    <>
      <p className="hidden-text" role="status">{news}</p>
      {list.length > 0 && <Tray list={list} />}
    </>
  );
}

/** Tray lets go of what was kept once nothing runs any more; what failed stays. */
function Tray({ list }: { list: Running[] }) {
  const [open, setOpen] = useState(false);
  const failed = list.filter((u) => u.state === 'failed');
  const ended = running(list).length === 0 && failed.length < list.length;
  const { ref, leaving } = useFading<HTMLElement>(ended, keptTime, () => dismissEnded(false));
  const single = list.length === 1 ? list[0] : undefined;
  return (
    <section ref={ref} className={`tray ${leaving && failed.length === 0 ? 'leaving' : ''}`} aria-label="Uploads">
      {single ? <Item upload={single} /> : <Sum list={list} open={open} onOpen={setOpen} />}
      {!single && <div className="tray-list">{(open ? list : failed.slice(0, failuresInSight)).map((u) => <Item key={u.id} upload={u} />)}</div>}
    </section>
  );
}

function headline(list: Running[], left: number, failed: number): string {
  if (left > 0) return `Uploading ${list.length - left + 1} of ${list.length}`;
  return failed > 0 ? `${failed} of ${count(list.length, 'upload')} failed` : `${count(list.length, 'upload')} kept`;
}

/** Sum is several uploads in one line. */
function Sum({ list, open, onOpen }: { list: Running[]; open: boolean; onOpen: (v: boolean) => void }) {
  const left = running(list).length;
  const failed = list.filter((u) => u.state === 'failed').length;
  const state = left > 0 ? 'sending' : failed > 0 ? 'failed' : 'done';
  const length = list.reduce((a, u) => a + u.report.length, 0);
  const sent = list.reduce((a, u) => a + (u.state === 'done' ? u.report.length : u.report.sent), 0);
  return (
    <div className={`tray-item sum ${state}`}>
      <span className="tray-icon"><Icon name={icons[state]} /></span>
      <div className="tray-text">
        <strong>{headline(list, left, failed)}</strong>
        <span className="muted">{left > 0 ? `${bytes(sent)} of ${bytes(length)}${failed > 0 ? `, ${failed} failed` : ''}` : failed > 0 ? `${list.length - failed} kept` : `${bytes(sent)} in all`}</span>
        {left > 0 && <Meter value={sent} max={Math.max(1, length)} label="All uploads" />}
      </div>
      <Button kind="quiet" expanded={open} onClick={() => onOpen(!open)}>{open ? 'Hide' : 'Show all'}</Button>
      {left === 0 && <Button icon="close" kind="quiet" label="Dismiss" onClick={() => dismissEnded(true)} />}
    </div>
  );
}

const icons = { waiting: 'upload', sending: 'upload', done: 'check', failed: 'warn' } as const;

function Item({ upload: u }: { upload: Running }) {
  return (
    <div className={`tray-item ${u.state}`}>
      <span className="tray-icon"><Icon name={icons[u.state]} /></span>
      <div className="tray-text">
        <strong>{u.name}</strong>
        <span className="muted" role={u.state === 'failed' ? 'alert' : undefined}>{says(u)}</span>
        {u.state !== 'done' && u.state !== 'failed' && <Meter value={u.report.sent} max={Math.max(1, u.report.length)} label={`Upload of ${u.name}`} />}
      </div>
      {u.state === 'done' && <Button kind="quiet" onClick={() => { go(address('files', [parseLink(u.link ?? '')?.root ?? ''])); dismiss(u.id); }}>Show</Button>}
      {u.state === 'failed' && <Button kind="quiet" onClick={() => retry(u.id)}>Resume</Button>}
      <Button icon="close" kind="quiet" label={u.state === 'sending' ? `Stop the upload of ${u.name}` : u.state === 'done' ? 'Dismiss' : `Dismiss ${u.name}`} onClick={() => dismiss(u.id)} />
    </div>
  );
}
