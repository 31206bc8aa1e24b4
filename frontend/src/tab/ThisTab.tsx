// This tab as a member of the mesh: joining, what it gives, its sensors, its identity.
import { useEffect, useState, useSyncExternalStore, type FormEvent } from 'react';
import { hasKey, messageOf, post, type Invite } from '../lib/api';
import { speakTo, useMode } from '../lib/mode';
import { useStore } from '../lib/store';
import { bytes, count, short } from '../lib/format';
import { Badge, Button, Confirm, CopyButton, Facts, Failure, Section, Waiting, type Tone } from '../ui/parts';
import { notify } from '../ui/toasts';
import { Sensors } from './drivers/Sensors';
import { tab, type TabState } from './control';

const tones: Record<TabState['phase'], Tone> = { off: 'muted', starting: 'accent', unjoined: 'muted', running: 'good', failed: 'bad', stopped: 'muted' };
const words: Record<TabState['phase'], string> = { off: 'not started', starting: 'starting', unjoined: 'in no mesh', running: 'a member', failed: 'failed', stopped: 'stopped' };

export const useTab = (): TabState => useSyncExternalStore(tab.subscribe, () => tab.state);

export function ThisTab() {
  const state = useTab();
  useEffect(() => tab.start(), []);
  return (
    <div className="columns">
      <div>
        <Section title="This tab" aside={<Badge tone={tones[state.phase]}>{words[state.phase]}</Badge>}>
          {state.phase === 'starting' && <Waiting lines={3} label="Starting this tab's node" />}
          {(state.phase === 'failed' || state.phase === 'stopped') && <Failure message={state.reason || 'This tab’s node is stopped.'} retry={() => tab.start()} />}
          {state.phase === 'unjoined' && <Join />}
          {state.phase === 'running' && <Member state={state} />}
          {!state.shared && state.phase !== 'off' && state.phase !== 'starting' && <p className="warn-text">This page shares no memory between its threads, so the tab works slower: open it over HTTPS, or from this machine.</p>}
          {state.volatile && <p className="warn-text">This browser keeps nothing: {state.volatile}. The tab is a new member after a reload.</p>}
        </Section>
        {state.phase === 'running' && <Section title="Give to the mesh"><Giving state={state} /></Section>}
      </div>
      <div>
        {state.phase === 'running' && <Section title="Sensors"><Sensors panel={tab.sensors} /></Section>}
        {state.phase !== 'off' && state.phase !== 'starting' && <Section title="Identity"><Identity state={state} /></Section>}
      </div>
    </div>
  );
}

/** Join makes an invite where the page's node may, and takes one otherwise. */
function Join() {
  const status = useStore((s) => s.status.value);
  const [invite, setInvite] = useState(tab.invite);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const seed = status?.roles.includes('seed') ?? false;
  const join = async (text: () => Promise<string>): Promise<void> => {
    setBusy(true);
    setError('');
    try {
      await tab.join(await text());
      notify('This tab is a member of the mesh');
    } catch (e) {
      setError(messageOf(e));
    } finally {
      setBusy(false);
    }
  };
  const own = async (): Promise<string> => (await post<Invite>('/v1/invites', { roles: 'edge', ttl: 600, name: '' })).text;
  const given = (e: FormEvent): void => { e.preventDefault(); void join(() => Promise.resolve(invite.trim().replace(/^.*#join=/, ''))); };
  return (
    <div className="prose">
      <p>As a member, this tab stores and fetches by itself, checks every block, keeps what it fetched for others to fetch from it, and may run jobs. It never counts as a keeper of files.</p>
      {seed && !invite && <p><Button kind="primary" disabled={busy} onClick={() => void join(own)}>{busy ? 'Joining…' : 'Make this tab a member'}</Button></p>}
      {(!seed || invite) && (
        <form className="form" onSubmit={given}>
          <label className="field">
            <span>Invite</span>
            <input value={invite} onChange={(e) => setInvite(e.target.value)} placeholder="inos-invite:…" autoComplete="off" spellCheck={false} required />
            <small>From the node that founded the mesh: on its page under Mesh, Invite, or by <code>inos invite --roles edge</code></small>
          </label>
          <Button kind="primary" type="submit" disabled={busy || !invite}>{busy ? 'Joining…' : 'Join'}</Button>
        </form>
      )}
      {error && <Failure message={error} />}
    </div>
  );
}

const lookEvery = 3000;

/** useStoreUse looks at what the tab keeps while it is shown. */
function useStoreUse(): { bytes: number; blocks: number } | undefined {
  const [store, setStore] = useState<{ bytes: number; blocks: number }>();
  useEffect(() => {
    let gone = false;
    const look = (): void => void tab.node.status().then((s) => { if (!gone) setStore(s.store); }, () => undefined);
    look();
    const timer = setInterval(() => { if (document.visibilityState === 'visible') look(); }, lookEvery);
    return () => { gone = true; clearInterval(timer); };
  }, []);
  return store;
}

function Member({ state }: { state: TabState }) {
  const mode = useMode();
  const store = useStoreUse();
  return (
    <>
    <Facts rows={[
      ['Name', state.name],
      ['Mesh', short(state.mesh)],
      ['Id', <CopyButton key="i" text={state.node} label="Copy the id" kind="quiet" />],
      ['Cache', store ? `${bytes(store.bytes)} in ${count(store.blocks, 'block')}` : '…'],
      ['Memory', state.shared ? 'shared between its threads' : 'copied between its threads'],
    ]} />
    {hasKey() && <p><Button onClick={() => speakTo(mode === 'tab' ? 'node' : 'tab', tab.way)}>{mode === 'tab' ? 'Use the page through the native node' : 'Use the page through this tab'}</Button></p>}
    <p className="muted">{mode === 'tab' ? 'Files, work and credits on this page are those of the tab’s own node now.' : 'Files, work and credits on this page are those of the node that served it.'}</p>
    </>
  );
}

const rests: Record<string, string> = { hidden: 'it rests while it is hidden', battery: 'it rests on battery', cpu: 'it rests, because the machine is busy' };

function Giving({ state }: { state: TabState }) {
  const s = state.settings;
  const set = (change: Partial<TabState['settings']>): void => void tab.configure({ ...s, ...change }).catch((e: unknown) => notify(messageOf(e), 'bad'));
  return (
    <div className="form">
      <label className="switch">
        <input type="checkbox" role="switch" checked={s.contribute} onChange={(e) => set({ contribute: e.target.checked })} />
        <span>Run jobs of other members</span>
      </label>
      <p className="muted" role="status">
        {!s.contribute ? 'Only your own jobs run here.' : s.yield ? `Switched on; ${rests[s.yield] ?? s.yield}.` : `Offers ${count(state.offered, 'job')} at a time.`}
      </p>
      <label className="field">
        <span>Processor share, at most {s.cpu_cap || 50} %</span>
        <input type="range" min={10} max={100} step={10} value={s.cpu_cap || 50} disabled={!s.contribute} onChange={(e) => set({ cpu_cap: Number(e.target.value) })} />
      </label>
      <p className="muted">The tab rests by itself while it is hidden or on battery. Work is paid in credits, as on any node.</p>
    </div>
  );
}

function Identity({ state }: { state: TabState }) {
  const [secret, setSecret] = useState('');
  const [text, setText] = useState('');
  const [leaving, setLeaving] = useState(false);
  const fail = (e: unknown): void => notify(messageOf(e), 'bad');
  return (
    <div className="prose">
      <p className="muted">The tab’s key is kept in this browser. Whoever has its secret is this member: use it in one place at a time.</p>
      {secret
        ? <><pre className="secret"><code>{secret}</code></pre><p><CopyButton text={secret} label="Copy the secret" /> <Button onClick={() => setSecret('')}>Hide it</Button></p></>
        : <p><Button onClick={() => void tab.exportSecret().then(setSecret, fail)}>Show the secret</Button></p>}
      {state.phase === 'unjoined' && (
        <form className="form" onSubmit={(e) => { e.preventDefault(); tab.importSecret(text).then(() => { setText(''); notify('The tab has this identity now'); }, fail); }}>
          <label className="field"><span>Use another secret</span><input value={text} onChange={(e) => setText(e.target.value)} autoComplete="off" spellCheck={false} required /></label>
          <Button type="submit" disabled={!text}>Use it</Button>
        </form>
      )}
      {state.phase === 'running' && <p><Button kind="danger" onClick={() => setLeaving(true)}>Leave the mesh</Button></p>}
      {leaving && (
        <Confirm title="Leave the mesh?" action="Leave" onClose={() => setLeaving(false)} onConfirm={async () => { await tab.leave(); if (hasKey()) speakTo('node'); notify('This tab has left the mesh'); }}>
          <p>What this tab put stays with the nodes that keep it. What it fetched stays in this browser until the room is needed. Joining again takes a new invite.</p>
        </Confirm>
      )}
    </div>
  );
}
