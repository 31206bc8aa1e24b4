import { useEffect, useMemo, useState } from 'react';
import { holders as askHolders, parseLink, type Holders, type NodeEvent, type Peer } from '../lib/api';
import { bytes, clock, count, duration, rate } from '../lib/format';
import { describe } from '../lib/events';
import { isEdge, present, roomFor } from '../lib/members';
import { refreshPeers, useStore, usePeersLive } from '../lib/store';
import { InviteDialog } from '../mesh/Invite';
import { Picture } from '../mesh/Picture';
import type { Dweller } from '../mesh/scene';
import { Story } from '../mesh/Story';
import { Button, Dot, Failure, Meter, Section, Waiting } from '../ui/parts';
import { useHealth } from '../ui/Shell';

/** useHolders follows where the copies of an object are. */
function useHolders(link: string): Holders | undefined {
  const [held, setHeld] = useState<Holders>();
  const events = useStore((s) => s.events.at(-1)?.id);
  useEffect(() => {
    const parsed = parseLink(link);
    if (!parsed) return setHeld(undefined);
    const end = new AbortController();
    askHolders(parsed, end.signal).then(setHeld, () => undefined); // the old answer stays
    return () => end.abort();
  }, [link, events]);
  return link ? held : undefined;
}

export function Mesh() {
  usePeersLive();
  const peers = useStore((s) => s.peers);
  const own = useStore((s) => s.status.value?.store.bytes);
  const moving = useStore((s) => s.moving);
  const objects = useStore((s) => s.objects.value);
  const [chosen, setChosen] = useState('');
  const [link, setLink] = useState('');
  const [inviting, setInviting] = useState(false);
  const held = useHolders(link);
  const nodes = useMemo<Dweller[]>(() => (peers.value ?? []).filter(present).map((p) => ({
    id: p.node, name: p.name, self: p.self, online: p.online || p.self, seed: p.roles.includes('seed'),
    relayed: p.transport === 'relay', connected: Boolean(p.transport), latency: p.latency_ms, used: p.self ? (own ?? p.used) : p.used,
    in: moving[p.node]?.in ?? 0, out: moving[p.node]?.out ?? 0,
    share: link && held ? (held.holders?.find((h) => h.node === p.node)?.blocks ?? 0) / Math.max(1, held.blocks) : -1,
  })), [peers.value, moving, link, held, own]);
  const self = peers.value?.find((p) => p.self);
  const peer = peers.value?.find((p) => p.node === chosen);
  const seed = self?.roles.includes('seed') ?? false;
  if (!peers.value) return peers.error ? <Failure message={peers.error} retry={() => void refreshPeers()} /> : <div className="mesh"><div className="mesh-picture" /><aside className="panel"><Waiting lines={8} /></aside></div>;
  return (
    <div className="mesh">
      <div className="stage">
        <div className="stage-bar">
          <label className="inline-field">
            <span>Copies of</span>
            <select value={link} onChange={(e) => setLink(e.target.value)}>
              <option value="">nothing chosen</option>
              {(objects ?? []).slice(0, 200).map((o) => <option key={o.link} value={o.link}>{o.name}</option>)}
            </select>
          </label>
          {held && <span className={held.copies >= held.wanted ? 'muted' : 'warn-text'}>{held.copies} of {count(held.wanted, 'copy', 'copies')} alive{held.under_replicated > 0 ? `, ${held.under_replicated} blocks short` : ''}</span>}
        </div>
        <Picture nodes={nodes} chosen={chosen} onChoose={setChosen} note={`${nodes.filter((n) => n.online).length} of ${count(nodes.length, 'node')} online.`} />
        <p className="legend muted">Distance is answer time. Dots are bytes on their way. {seed || nodes.some((n) => n.seed) ? 'A ring marks a seed.' : ''}</p>
      </div>
      <aside className="panel" aria-label={peer ? `About ${peer.name}` : 'About the mesh'}>
        {peer ? <Story peer={peer} holders={held} seed={seed} onClose={() => setChosen('')} /> : <Whole nodes={nodes} held={held} seed={seed} onChoose={setChosen} onInvite={() => setInviting(true)} />}
      </aside>
      {inviting && <InviteDialog onClose={() => setInviting(false)} />}
    </div>
  );
}

/** worthTelling leaves out what happens all the time: checks that found nothing. */
function worthTelling(e: NodeEvent): boolean {
  const d = (e.data ?? {}) as { blocks?: number };
  if (e.type.startsWith('mesh:repair')) return Boolean(d.blocks);
  return e.type !== 'module:supervise:v1:healthy';
}

function Whole(p: { nodes: Dweller[]; held: Holders | undefined; seed: boolean; onChoose: (id: string) => void; onInvite: () => void }) {
  const health = useHealth();
  const events = useStore((s) => s.events);
  const peers = useStore((s) => s.peers.value) ?? [];
  const free = roomFor(peers);
  const latest = events.filter(worthTelling).slice(-7).reverse();
  const about = (e: NodeEvent): Peer | undefined => peers.find((q) => q.node === e.subject);
  const isEdgeEvent = (e: NodeEvent): boolean => { const p = about(e); return p !== undefined && isEdge(p); };
  return (
    <>
      <div className="health">
        <Dot tone={health.tone} />
        <strong>{health.text}</strong>
        {p.seed && <Button icon="plus" kind="primary" onClick={p.onInvite}>Invite</Button>}
      </div>
      <Section title="Nodes">
        <ul className="node-list">
          {p.nodes.map((n) => {
            const share = p.held?.holders?.find((h) => h.node === n.id);
            return (
              <li key={n.id}>
                <button type="button" onClick={() => p.onChoose(n.id)}>
                  <Dot tone={n.online ? 'good' : 'bad'} />
                  <span className="grow"><strong>{n.name}</strong>{n.self && <span className="muted"> this node</span>}{n.seed && <span className="muted"> seed</span>}</span>
                  {p.held ? (
                    <span className="node-figure"><Meter value={share?.blocks ?? 0} max={p.held.blocks} label={`Blocks on ${n.name}`} tone={n.online ? 'accent' : 'bad'} /></span>
                  ) : (
                    <span className="node-figure muted">{!n.online ? 'offline' : n.in + n.out > 1 ? rate(n.in + n.out) : n.latency > 0 ? duration(n.latency) : bytes(n.used)}</span>
                  )}
                </button>
              </li>
            );
          })}
        </ul>
        <p className="muted">{bytes(free)} free on the nodes that are online</p>
      </Section>
      <Section title="Lately">
        {latest.length === 0 ? <p className="muted">Nothing has happened yet.</p> : (
          <ol className="timeline" aria-live="polite">
            {latest.map((e) => <li key={e.id}><time>{clock(Date.parse(e.time))}</time><span>{e.type.startsWith('mesh:member') ? <strong>{about(e)?.name} </strong> : null}{describe(e, isEdgeEvent(e))}</span></li>)}
          </ol>
        )}
      </Section>
    </>
  );
}
