// One node's story: what it is, what it keeps, what passes, what happened.
import { useState } from 'react';
import { remove, type Holders, type Peer } from '../lib/api';
import { ago, bytes, clock, count, credits, duration, rate, short } from '../lib/format';
import { useStore } from '../lib/store';
import { notify } from '../ui/toasts';
import { Badge, Button, Confirm, CopyButton, Facts, Meter, Section } from '../ui/parts';
import { describe } from '../lib/events';
import { isEdge } from '../lib/members';

const none = '–';

/** seen is when a member that is away was last heard of. */
const seen = (p: Peer): string => (p.last_seen > 0 ? ago(p.last_seen) : 'before this node started');

export function Story({ peer, holders, seed, onClose }: { peer: Peer; holders: Holders | undefined; seed: boolean; onClose: () => void }) {
  const [asking, setAsking] = useState(false);
  const moving = useStore((s) => s.moving[peer.node]);
  const events = useStore((s) => s.events);
  const about = events.filter((e) => e.subject === peer.node || (e.data as { worker?: string } | undefined)?.worker === peer.node).slice(-6).reverse();
  const share = holders?.holders?.find((h) => h.node === peer.node);
  const here = peer.online || peer.self;
  const heard = peer.self || peer.seq > 0; // its word is known: what it keeps and asks for
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
        <Badge tone={here ? 'good' : 'bad'}>{here ? 'online' : 'offline'}</Badge>
      </header>
      <Facts
        rows={[
          ...(peer.self ? [] : ([
            ...(here ? ([
              ['Answers in', peer.latency_ms > 0 ? duration(peer.latency_ms) : none],
              ['Link', peer.transport ? (peer.transport === 'relay' ? 'through a relay' : `direct, ${peer.transport.toUpperCase()}`) : 'none now'],
              ['Now', `${rate(moving?.in ?? 0)} in, ${rate(moving?.out ?? 0)} out`],
              ['Since start', `${bytes(peer.bytes_in)} in, ${bytes(peer.bytes_out)} out`],
            ] as [string, string][]) : ([['Last seen', seen(peer)]] as [string, string][])),
          ] as [string, string][])),
          ['Works', !heard ? none : `${count(peer.cores, 'core')}, ${count(peer.workers, 'job')} at once${here ? `, ${peer.queue} waiting` : ''}`],
          ...(peer.domain ? ([['Domain', peer.domain]] as [string, string][]) : []),
          ...(peer.region ? ([['Region', peer.region]] as [string, string][]) : []),
        ]}
      />
      <Section title="Keeps">
        {heard ? (
          <>
            <Meter value={peer.used} max={peer.used + peer.free} label="Storage used" tone={here ? 'accent' : 'bad'} />
            <p className="muted">{bytes(peer.used)} kept, {bytes(peer.free)} free{here ? '' : `, last seen ${seen(peer)}`}</p>
          </>
        ) : <p className="muted">{none}</p>}
        {here && share && holders && (
          <>
            <Meter value={share.blocks} max={holders.blocks} label="Share of the chosen object" />
            <p className="muted">{share.blocks} of {count(holders.blocks, 'block')} of the chosen object</p>
          </>
        )}
      </Section>
      <Section title="Asks for">
        <Facts rows={[
          ['Keeping', heard ? `${credits(peer.prices.storage_gib_month)} per GiB and month` : none],
          ['Sending', heard ? `${credits(peer.prices.serve_gib)} per GiB` : none],
          ['Computing', heard ? `${credits(peer.prices.compute_ggas)} per Ggas` : none],
        ]} />
      </Section>
      {about.length > 0 && (
        <Section title="Lately">
          <ol className="timeline">
            {about.map((e) => <li key={e.id}><time>{clock(Date.parse(e.time))}</time><span>{describe(e, e.subject === peer.node && isEdge(peer))}</span></li>)}
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
