import { useRef, useState } from 'react';
import { messageOf, parseLink, send, type ModuleInfo } from '../lib/api';
import { bytes, count, gas, short } from '../lib/format';
import { address, go, useRoute } from '../lib/route';
import { refreshModules, useStore } from '../lib/store';
import { ArenaMap } from '../modules/ArenaMap';
import { ResidentPanel } from '../modules/Resident';
import { fieldsOf } from '../work/schema';
import { Badge, Button, CopyButton, Empty, Facts, Failure, Section, Waiting } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { notify } from '../ui/toasts';
import { Supervisor } from './Supervisor';

function AddModule() {
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const add = async (): Promise<void> => {
    const file = input.current?.files?.[0];
    if (!file) return;
    setBusy(true);
    try {
      const res = await send('/v1/modules', { method: 'POST', headers: { 'Content-Type': 'application/wasm' }, body: file });
      const m = (await res.json()) as ModuleInfo;
      notify(`${m.name} ${m.version} can run now`);
      await refreshModules();
      go(address('modules', [m.hash]));
    } catch (e) {
      notify(`${file.name} was not added: ${messageOf(e)}`, 'bad');
    } finally {
      setBusy(false);
      if (input.current) input.current.value = '';
    }
  };
  return (
    <>
      <input ref={input} type="file" accept=".wasm,application/wasm" hidden aria-label="Module file" onChange={() => void add()} />
      <Button icon="plus" kind="primary" disabled={busy} onClick={() => input.current?.click()}>{busy ? 'Checking…' : 'Add a module'}</Button>
    </>
  );
}

/** panels are the parts of a module's page; what a module gains later gets another. */
const panels: [string, (p: { module: ModuleInfo }) => React.ReactNode, ((m: ModuleInfo) => boolean)?][] = [
  ['Methods', Methods],
  ['In shared memory', ResidentPanel, (m) => m.resident],
  ['On this node', Supervisor, (m) => !m.resident],
  ['Manifest', Manifest],
];

export function Modules() {
  const modules = useStore((s) => s.modules);
  const { rest } = useRoute();
  if (modules.error && !modules.value) return <Failure message={modules.error} retry={() => void refreshModules()} />;
  if (!modules.value) return <Waiting lines={6} />;
  const arena = rest[0] === 'arena';
  const chosen = modules.value.find((m) => m.hash === rest[0]) ?? (rest[0] ? undefined : modules.value.find((m) => m.name === 'compute') ?? modules.value[0]);
  return (
    <div className={`modules ${rest[0] ? 'has-choice' : ''}`}>
      <aside className="module-list" aria-label="Modules">
        <div className="bar"><span className="muted grow">{count(modules.value.length, 'module')}</span><AddModule /></div>
        <ul>
          {modules.value.map((m) => (
            <li key={m.hash}>
              <Anchor to={address('modules', [m.hash])} className={m.hash === chosen?.hash ? 'on' : ''}>
                <strong>{m.name}</strong> <span className="muted">{m.version}</span>
                <small className="muted">{m.description}</small>
              </Anchor>
            </li>
          ))}
          <li className="apart">
            <Anchor to={address('modules', ['arena'])} className={arena ? 'on' : ''}>
              <strong>Shared memory</strong>
              <small className="muted">The arena&apos;s map: regions, event counters, rings</small>
            </Anchor>
          </li>
        </ul>
      </aside>
      {arena ? <ArenaMap /> : chosen ? (
        <article className="module">
          <header>
            <Button icon="back" kind="quiet" label="All modules" onClick={() => go('/modules')} />
            <h2>{chosen.name}</h2>
            <span className="muted">{chosen.version}</span>
            {chosen.built_in && <Badge tone="muted">built in</Badge>}
            {!chosen.built_in && <Badge tone={chosen.verified ? 'good' : 'warn'}>{chosen.verified ? 'signature holds' : 'not signed'}</Badge>}
          </header>
          {chosen.description && <p className="lead">{chosen.description}</p>}
          {panels.map(([title, Panel, fits]) => (fits?.(chosen) ?? true) && <Section key={`${title} ${chosen.hash}`} title={title}><Panel module={chosen} /></Section>)}
        </article>
      ) : <Empty icon="modules" title="No such module"><Button onClick={() => go('/modules')}>All modules</Button></Empty>}
    </div>
  );
}

function Methods({ module: m }: { module: ModuleInfo }) {
  return (
    <ul className="method-cards">
      {(m.units ?? []).flatMap((u) => (u.methods ?? []).map((q) => {
        const fields = fieldsOf(q.params);
        return (
          <li key={`${u.name}.${q.name}`}>
            <div className="grow">
              <code>{u.name}.{q.name}</code>
              <p className="muted">{q.description}</p>
              <p className="muted small">{fields.length ? `Parameters: ${fields.map((f) => f.name + (f.required ? '' : '?')).join(', ')}. ` : 'No parameters. '}{q.accepts?.length ? `${q.accepts.join(', ')} → ` : ''}{(q.returns ?? []).join(', ')}</p>
            </div>
            {!m.resident && <Anchor to={address('work', [`${m.ref ?? m.name}.${u.name}.${q.name}`])} className="button plain">Run</Anchor>}
          </li>
        );
      }))}
    </ul>
  );
}

function Manifest({ module: m }: { module: ModuleInfo }) {
  const link = parseLink(m.link);
  return (
    <>
      <Facts rows={[
        ['Hash', <code key="h" className="break">{m.hash}</code>],
        ['Author', m.built_in ? 'comes with the program' : <code key="a">{short(m.author)}</code>],
        ['Size', bytes(m.size)],
        ['Runs as', m.resident ? 'a resident: inside the arena, signed by the owner' : 'a guest: memory of its own'],
        ['Deterministic', m.deterministic ? 'yes: the same bytes on every node' : 'no: its results cannot be checked by running again'],
        ['May call', m.syscalls?.length ? m.syscalls.join(', ') : 'nothing outside its sandbox'],
        ['Gas, at most', m.limits.gas ? gas(m.limits.gas) : 'as the node allows'],
        ['Memory, at most', m.limits.memory_bytes ? bytes(m.limits.memory_bytes) : 'as the node allows'],
        ['Output, at most', m.limits.output_bytes ? bytes(m.limits.output_bytes) : 'as the node allows'],
      ]} />
      {link && <p><CopyButton text={m.link} label="Copy the module's link" /></p>}
    </>
  );
}
