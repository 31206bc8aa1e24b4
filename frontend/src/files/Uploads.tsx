// The tray of running uploads: one progress for bytes sent and copies signed for.
import { bytes, count } from '../lib/format';
import { address, go } from '../lib/route';
import { parseLink } from '../lib/api';
import { Button, Meter } from '../ui/parts';
import { Icon } from '../ui/Icon';
import { dismiss, retry, useUploads, type Running } from './uploads';

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

export function Uploads() {
  const list = useUploads();
  if (list.length === 0) return null;
  return (
    <section className="tray" aria-label="Uploads">
      {list.slice(-5).map((u) => (
        <div key={u.id} className={`tray-item ${u.state}`}>
          <span className="tray-icon"><Icon name={u.state === 'done' ? 'check' : u.state === 'failed' ? 'warn' : 'upload'} /></span>
          <div className="tray-text">
            <strong>{u.name}</strong>
            <span className="muted" role={u.state === 'failed' ? 'alert' : 'status'}>{says(u)}</span>
            {u.state !== 'done' && u.state !== 'failed' && <Meter value={u.report.sent} max={Math.max(1, u.report.length)} label={`Upload of ${u.name}`} />}
          </div>
          {u.state === 'done' && <Button kind="quiet" onClick={() => { go(address('files', [parseLink(u.link ?? '')?.root ?? ''])); dismiss(u.id); }}>Show</Button>}
          {u.state === 'failed' && <Button kind="quiet" onClick={() => retry(u.id)}>Resume</Button>}
          <Button icon="close" kind="quiet" label={u.state === 'sending' ? `Stop the upload of ${u.name}` : 'Dismiss'} onClick={() => dismiss(u.id)} />
        </div>
      ))}
    </section>
  );
}
