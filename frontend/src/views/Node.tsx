import { useState } from 'react';
import { useAnswer } from '../lib/answer';
import { get, send, type Check, type Setting } from '../lib/api';
import { bytes, count, duration } from '../lib/format';
import { address, go, useRoute } from '../lib/route';
import { useMode } from '../lib/mode';
import { useStore } from '../lib/store';
import { Badge, Button, Confirm, CopyButton, Facts, Failure, Meter, Section, Tabs, Waiting, type Tone } from '../ui/parts';
import { notify } from '../ui/toasts';
import { ThisTab } from '../tab/ThisTab';
import { Log } from '../node/Log';
import { Metrics } from '../node/Metrics';

type Part = 'health' | 'tab' | 'settings' | 'log' | 'metrics';
const parts: [Part, string][] = [['health', 'Health'], ['tab', 'This tab'], ['settings', 'Settings'], ['log', 'Log'], ['metrics', 'Metrics']];

const ofNative: Part[] = ['settings', 'metrics']; // what a tab's node has none of

export function Node() {
  const { rest } = useRoute();
  const native = useMode() === 'node';
  const shown = native ? parts : parts.filter(([p]) => !ofNative.includes(p));
  const part = shown.find(([p]) => p === rest[0])?.[0] ?? 'health';
  return (
    <div className="node-view">
      <Tabs label="Parts" value={part} options={shown} onChange={(p) => go(address('node', p === 'health' ? [] : [p]))} />
      {part === 'health' && <Health />}
      {part === 'tab' && <ThisTab />}
      {part === 'settings' && <Settings />}
      {part === 'log' && <Log />}
      {part === 'metrics' && <Metrics />}
    </div>
  );
}

const tones: Record<string, Tone> = { ok: 'good', warn: 'warn', fail: 'bad' };

function Health() {
  const s = useStore((st) => st.status.value);
  const doctor = useAnswer(() => get<Check[]>('/v1/doctor'), []);
  const [stopping, setStopping] = useState(false);
  const native = useMode() === 'node';
  if (!s) return <Waiting lines={8} />;
  const room = s.store.quota || s.store.bytes + s.store.free;
  return (
    <div className="columns">
      <Section title="Doctor" aside={<Button onClick={doctor.again}>Check again</Button>}>
        {doctor.error && <Failure message={doctor.error} retry={doctor.again} />}
        {!doctor.value && !doctor.error && <Waiting lines={8} label="Checking" />}
        <ul className="checks">
          {(doctor.value ?? []).map((c) => (
            <li key={c.name}>
              <Badge tone={tones[c.state] ?? 'muted'}>{c.state}</Badge>
              <div><strong>{c.name}</strong><p className="muted break">{c.detail}</p>{c.fix && <p>{c.fix}</p>}</div>
            </li>
          ))}
        </ul>
      </Section>
      <div>
        <Section title="This node">
          <Facts rows={[
            ['Name', s.name],
            ['Roles', s.roles.split('+').join(', ')],
            ['Version', s.version],
            ['Up for', duration(s.uptime_seconds * 1000)],
            ['Jobs', `${s.jobs_running} running, ${s.jobs_queued} waiting`],
            ['Memory', bytes(s.rss)],
            ['Data', native ? <code key="d" className="break">{s.dir}</code> : 'in this browser'],
            ['Id', <CopyButton key="i" text={s.node} label="Copy the id" kind="quiet" />],
          ]} />
        </Section>
        <Section title="Storage">
          <Meter value={s.store.bytes} max={room} label="Storage used" />
          <p className="muted">{bytes(s.store.bytes)} in {count(s.store.blocks, 'block')}, {bytes(s.store.free)} free{s.store.quota ? ` of a quota of ${bytes(s.store.quota)}` : ''}</p>
          {s.store.quarantined > 0 && <p className="bad-text">{count(s.store.quarantined, 'damaged block')} set aside</p>}
        </Section>
        {native && <>
        <Section title="Reachable at">
          <ul className="addresses">{(s.addrs ?? []).map((a) => <li key={a}><code className="break">{a.replace(/\/p2p\/.*/, '')}</code></li>)}</ul>
        </Section>
        <Section title="Stop">
          <p className="muted">The node drains its work and ends. Start it again with <code>inos up</code>.</p>
          <Button kind="danger" onClick={() => setStopping(true)}>Stop this node</Button>
        </Section>
        </>}
      </div>
      {stopping && (
        <Confirm title={`Stop ${s.name}?`} action="Stop the node" onClose={() => setStopping(false)} onConfirm={async () => { await send('/v1/shutdown', { method: 'POST' }); notify('The node is stopping'); }}>
          <p>This page stops answering with it. Other nodes keep what is stored, and go on.</p>
        </Confirm>
      )}
    </div>
  );
}

function valueText(v: unknown): string {
  if (Array.isArray(v)) return v.join(', ');
  return v === null || v === undefined || v === 0 ? '' : String(v);
}

function Settings() {
  const { value, error, again } = useAnswer(() => get<Setting[]>('/v1/settings'), []);
  if (error) return <Failure message={error} retry={again} />;
  if (!value) return <Waiting lines={10} />;
  return (
    <Section title="Settings in force">
      <p className="muted">A setting is a flag of inos up, a line of the configuration file, or a variable INOS_NAME. It counts from the next start.</p>
      <table className="list settings">
        <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th><th scope="col">What it does</th></tr></thead>
        <tbody>{value.map((s) => <tr key={s.key}><td><code>{s.key}</code></td><td className="break">{valueText(s.value) || <span className="muted">default</span>}</td><td className="muted">{s.source}</td><td className="muted">{s.doc}</td></tr>)}</tbody>
      </table>
    </Section>
  );
}
