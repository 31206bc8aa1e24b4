// One node's story: what it is, what it keeps, what passes, what happened.
import { useState } from 'react';
import { remove, type Holders, type Peer } from '../lib/api';
import { ago, bytes, clock, count, credits, duration, rate, short } from '../lib/format';
import { useStore } from '../lib/store';
import { notify } from '../ui/toasts';
import { Badge, Button, Confirm, CopyButton, Facts, Meter, Section } from '../ui/parts';
import { describe } from '../lib/events';

export function Story({ peer, holders, seed, onClose }: { peer: Peer; holders: Holders | undefined; seed: boolean; onClose: () => void }) {
  const [asking, setAsking] = useState(false);
  const moving = useStore((s) => s.moving[peer.node]);
  const events = useStore((s) => s.events);
  const about = events.filter((e) => e.subject === peer.node || (e.data as { worker?: string } | undefined)?.worker === peer.node).slice(-6).reverse();
  const share = holders?.holders?.find((h) => h.node === peer.node);
  const revoke = async (): Promise<void> => {
    await remove(`/v1/peers/${peer.node}`);
    notify(`${peer.name} is no longer a member`);
    onClose();
  };
  return (
    <div className="story">
      <header className="story-head">
        <Button icon="back" kind="quiet" label="Back to the whole mesh" onClick={onClose} />
        <div>
          <h2>{peer.name}</h2>
          <p className="muted">{peer.roles.split('+').join(', ')}{peer.self ? ', this node' : ''}</p>
        </div>
        <Badge tone={peer.online ? 'good' : 'bad'}>{peer.online ? 'online' : 'offline'}</Badge>
      </header>
      <Facts
        rows={[
          ...(peer.self ? [] : ([
            ['Answers in', peer.online && peer.latency_ms > 0 ? duration(peer.latency_ms) : 'unknown'],
            ['Link', peer.transport ? (peer.transport === 'relay' ? 'through a relay' : `direct, ${peer.transport.toUpperCase()}`) : 'none now'],
            ['Last heard', peer.online ? 'now' : ago(peer.last_seen)],
            ['Now', `${rate(moving?.in ?? 0)} in, ${rate(moving?.out ?? 0)} out`],
            ['Since start', `${bytes(peer.bytes_in)} in, ${bytes(peer.bytes_out)} out`],
          ] as [string, string][])),
          ['Works', `${count(peer.cores, 'core')}, ${count(peer.workers, 'job')} at once, ${peer.queue} waiting`],
          ...(peer.domain ? ([['Domain', peer.domain]] as [string, string][]) : []),
          ...(peer.region ? ([['Region', peer.region]] as [string, string][]) : []),
        ]}
      />
      <Section title="Keeps">
        <Meter value={peer.used} max={peer.used + peer.free} label="Storage used" />
        <p className="muted">{bytes(peer.used)} kept, {bytes(peer.free)} free</p>
        {share && holders && (
          <>
            <Meter value={share.blocks} max={holders.blocks} label="Share of the chosen object" tone={share.online ? 'accent' : 'bad'} />
            <p className="muted">{share.blocks} of {count(holders.blocks, 'block')} of the chosen object</p>
          </>
        )}
      </Section>
      <Section title="Asks for">
        <Facts rows={[
          ['Keeping', `${credits(peer.prices.storage_gib_month)} per GiB and month`],
          ['Sending', `${credits(peer.prices.serve_gib)} per GiB`],
          ['Computing', `${credits(peer.prices.compute_ggas)} per Ggas`],
        ]} />
      </Section>
      {about.length > 0 && (
        <Section title="Lately">
          <ol className="timeline">
            {about.map((e) => <li key={e.id}><time>{clock(Date.parse(e.time))}</time><span>{describe(e)}</span></li>)}
          </ol>
        </Section>
      )}
      <div className="story-actions">
        <CopyButton text={peer.node} label={short(peer.node)} kind="quiet" />
        {seed && !peer.self && <Button kind="danger" onClick={() => setAsking(true)}>Revoke</Button>}
      </div>
      {asking && (
        <Confirm title={`End ${peer.name}'s membership?`} action={`Revoke ${peer.name}`} onConfirm={revoke} onClose={() => setAsking(false)}>
          <p>It can no longer connect, and cannot come back without a new invite. What it keeps for others is copied again elsewhere. This cannot be undone.</p>
        </Confirm>
      )}
    </div>
  );
}
