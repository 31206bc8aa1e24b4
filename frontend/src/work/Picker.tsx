// Inputs for a run, picked from Files: whole objects, or files inside folders.
import { useMemo, useState } from 'react';
import { parseLink, type RunInput, type StoredObject } from '../lib/api';
import { bytes, count } from '../lib/format';
import { useStore } from '../lib/store';
import { useStat } from '../files/Detail';
import { Icon } from '../ui/Icon';
import { Button, Dialog, Empty, Failure, Waiting } from '../ui/parts';

/** Chosen is an input with what the list needs to show it. */
export interface Chosen {
  input: RunInput;
  name: string;
  files: number; // calls it stands for
  bytes: number;
}

const key = (c: { input: RunInput }): string => `${c.input.link} ${c.input.path ?? ''}`;

function Row({ icon, name, note, on, onToggle, onOpen }: { icon: 'file' | 'folder'; name: string; note: string; on: boolean; onToggle: () => void; onOpen?: () => void }) {
  return (
    <li className={on ? 'on' : ''}>
      <label>
        <input type="checkbox" checked={on} onChange={onToggle} />
        <Icon name={icon} />
        <span className="grow name">{name}</span>
        <span className="muted figure">{note}</span>
      </label>
      {onOpen && <Button icon="next" kind="quiet" label={`Open ${name}`} onClick={onOpen} />}
    </li>
  );
}

export function Picker({ chosen, onDone, onClose }: { chosen: Chosen[]; onDone: (c: Chosen[]) => void; onClose: () => void }) {
  const objects = useStore((s) => s.objects);
  const [picked, setPicked] = useState(() => new Map(chosen.map((c) => [key(c), c])));
  const [open, setOpen] = useState<{ object: StoredObject; path: string } | null>(null);
  const [query, setQuery] = useState('');
  const toggle = (c: Chosen): void => {
    const next = new Map(picked);
    if (!next.delete(key(c))) next.set(key(c), c);
    setPicked(next);
  };
  const has = (c: Chosen): boolean => picked.has(key(c));
  const found = useMemo(() => (objects.value ?? []).filter((o) => o.name.toLowerCase().includes(query.toLowerCase())).sort((a, b) => Number(Boolean(a.method)) - Number(Boolean(b.method))).slice(0, 300), [objects.value, query]); // results of jobs last
  const calls = [...picked.values()].reduce((a, c) => a + c.files, 0);
  return (
    <Dialog title="Choose inputs" onClose={onClose} wide>
      {open ? (
        <Inside {...open} has={has} toggle={toggle} onOpen={(path) => setOpen({ ...open, path })} onUp={() => setOpen(open.path ? { ...open, path: open.path.split('/').slice(0, -1).join('/') } : null)} />
      ) : (
        <>
          <label className="search"><Icon name="search" /><input type="search" value={query} onChange={(e) => setQuery(e.target.value)} placeholder="Search by name" aria-label="Search by name" /></label>
          {found.length === 0 ? <Empty icon="files" title="No files to choose from"><p>Add some under Files first.</p></Empty> : (
            <ul className="picker">
              {found.map((o) => {
                const c: Chosen = { input: { link: o.link }, name: o.name, files: o.folder ? o.files : 1, bytes: o.bytes };
                return <Row key={o.link} icon={o.folder ? 'folder' : 'file'} name={o.name} note={o.folder ? `${count(o.files, 'file')}, ${bytes(o.bytes)}` : bytes(o.bytes)} on={has(c)} onToggle={() => toggle(c)} {...(o.folder ? { onOpen: () => setOpen({ object: o, path: '' }) } : {})} />;
              })}
            </ul>
          )}
        </>
      )}
      <footer>
        <span className="grow muted">{count(calls, 'file')} chosen</span>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" onClick={() => { onDone([...picked.values()]); onClose(); }}>Use {calls === 0 ? 'none' : calls.toLocaleString('en')}</Button>
      </footer>
    </Dialog>
  );
}

function Inside(p: { object: StoredObject; path: string; has: (c: Chosen) => boolean; toggle: (c: Chosen) => void; onOpen: (path: string) => void; onUp: () => void }) {
  const { value, error } = useStat(parseLink(p.object.link), p.path);
  return (
    <>
      <div className="picker-where"><Button icon="back" kind="quiet" label="Back" onClick={p.onUp} /><strong>{[p.object.name, ...p.path.split('/').filter(Boolean)].join(' / ')}</strong></div>
      {error && <Failure message={error} />}
      {!value && !error && <Waiting lines={6} />}
      <ul className="picker">
        {(value?.entries ?? []).map((e) => {
          const folder = e.kind === 'folder';
          const c: Chosen = { input: { link: p.object.link, path: e.path }, name: e.name, files: folder ? e.files : 1, bytes: e.size };
          return <Row key={e.path} icon={folder ? 'folder' : 'file'} name={e.name} note={folder ? (e.files ? count(e.files, 'file') : '') : bytes(e.size)} on={p.has(c)} onToggle={() => p.toggle(c)} {...(folder ? { onOpen: () => p.onOpen(e.path) } : {})} />;
        })}
      </ul>
    </>
  );
}
