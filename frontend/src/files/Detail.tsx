// One object: what it holds, where its copies are, its link.
import { useEffect, useState } from 'react';
import { download, holders as askHolders, messageOf, stat, type FileInfo, type Holders, type Link, type Stat, type StoredObject } from '../lib/api';
import { ago, bytes, count, credits } from '../lib/format';
import { address, go } from '../lib/route';
import { useStore } from '../lib/store';
import { Icon } from '../ui/Icon';
import { Badge, Button, CopyButton, Facts, Failure, Meter, Section, Waiting } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { notify } from '../ui/toasts';
import { Preview } from './Preview';

/** useStat reads an entry of an object, and all pages of a folder up to a bound. */
export function useStat(link: Link | null, path: string): { value?: Stat; error?: string } {
  const [state, setState] = useState<{ value?: Stat; error?: string }>({});
  const root = link?.root;
  const key = link?.key ?? '';
  useEffect(() => {
    setState({});
    if (!root) return;
    const end = new AbortController();
    stat({ root, key }, path, '', end.signal).then((value) => setState({ value }), (e: unknown) => !end.signal.aborted && setState({ error: messageOf(e) }));
    return () => end.abort();
  }, [root, key, path]);
  return state;
}

export function Copies({ link }: { link: Link }) {
  const [held, setHeld] = useState<Holders>();
  const [error, setError] = useState('');
  const moved = useStore((s) => s.events.at(-1)?.id);
  const { root, key } = link;
  useEffect(() => {
    const end = new AbortController();
    askHolders({ root, key }, end.signal).then((h) => { setHeld(h); setError(''); }, (e: unknown) => !end.signal.aborted && setError(messageOf(e)));
    return () => end.abort();
  }, [root, key, moved]);
  if (error) return <Failure message={error} />;
  if (!held) return <Waiting lines={3} />;
  return (
    <>
      <p>
        <Badge tone={held.copies >= held.wanted ? 'good' : 'warn'}>{held.copies} of {count(held.wanted, 'copy', 'copies')} alive</Badge>{' '}
        <span className="muted">{count(held.blocks, 'block')}, {bytes(held.bytes)} a copy{held.under_replicated > 0 ? `, ${held.under_replicated} short` : ''}</span>
      </p>
      <ul className="copies">
        {(held.holders ?? []).map((h) => (
          <li key={h.node}>
            <span className="copies-name">{h.name || h.node.slice(8, 14)}{h.self && <em> here</em>}</span>
            <Meter value={h.blocks} max={held.blocks} label={`${h.name} keeps ${h.blocks} of ${held.blocks} blocks`} tone={h.online ? 'accent' : 'bad'} />
            <span className="copies-figure muted">{h.online ? `${h.blocks} of ${held.blocks}` : 'offline'}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Crumbs({ root, name, path }: { root: string; name: string; path: string }) {
  const parts = path.split('/').filter(Boolean);
  return (
    <nav className="crumbs" aria-label="Where you are">
      <Anchor to="/files">Files</Anchor>
      <Icon name="next" />
      {parts.length === 0 ? <span aria-current="page">{name}</span> : <Anchor to={address('files', [root])}>{name}</Anchor>}
      {parts.map((p, i) => (
        <span key={i} className="crumb">
          <Icon name="next" />
          {i === parts.length - 1 ? <span aria-current="page">{p}</span> : <Anchor to={address('files', [root], { path: parts.slice(0, i + 1).join('/') })}>{p}</Anchor>}
        </span>
      ))}
    </nav>
  );
}

function Entries({ root, entries }: { root: string; entries: FileInfo[] }) {
  const [query, setQuery] = useState('');
  const found = entries.filter((e) => e.name.toLowerCase().includes(query.toLowerCase()));
  return (
    <>
      {entries.length > 10 && (
        <label className="search"><Icon name="search" /><input type="search" value={query} onChange={(e) => setQuery(e.target.value)} placeholder="Search this folder" aria-label="Search this folder" /></label>
      )}
      <ul className="entries">
        {found.map((e) => (
          <li key={e.path}>
            <Anchor to={address('files', [root], { path: e.path })}>
              <Icon name={e.kind === 'folder' ? 'folder' : 'file'} />
              <span className="grow name">{e.name}</span>
              <span className="muted figure">{e.kind === 'folder' ? (e.files ? count(e.files, 'file') : '') : bytes(e.size)}</span>
            </Anchor>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="muted">Nothing here is called that.</p>}
    </>
  );
}

function about(info: FileInfo | undefined, object: StoredObject | undefined, link: Link): [string, string][] {
  const rows: [string, string][] = [];
  if (info) rows.push(['Size', bytes(info.size)]);
  if (info?.kind === 'folder') rows.push(['Files', info.files.toLocaleString('en')]);
  if (info?.media_type) rows.push(['Type', info.media_type]);
  if (object) {
    rows.push(['Stored', ago(object.created)], ['Kept until', object.until ? new Date(object.until * 1000).toLocaleDateString('en') : 'removed']);
    rows.push(['On the wire', bytes(object.wire)], ['Paid so far', `${credits(object.paid)} credits`]);
  } else rows.push(['Owner', 'another node']);
  rows.push(['Sealed', link.key ? 'yes; the link holds the key' : 'no; public']);
  return rows;
}

export function Detail({ link, text, object, path, onRemove }: { link: Link; text: string; object: StoredObject | undefined; path: string; onRemove: (o: StoredObject) => void }) {
  const { value, error } = useStat(link, path);
  const name = object?.name ?? (path ? 'object' : (value?.info.name ?? 'object'));
  const info = value?.info;
  const folder = info?.kind === 'folder';
  const shown = info?.name || name;
  const save = (): void => void download(text, path, folder, shown).catch((e: unknown) => notify(messageOf(e), 'bad'));
  return (
    <div className="detail">
      <Crumbs root={link.root} name={name} path={path} />
      <div className="detail-head">
        <h2>{shown}</h2>
        <div className="actions">
          <Button icon="download" onClick={save} disabled={!info}>{folder ? 'Download as tar' : 'Download'}</Button>
          <CopyButton text={text} label="Copy link" kind="primary" />
          {object && !path && <Button icon="trash" kind="danger" label={`Remove ${name}`} onClick={() => { onRemove(object); go('/files'); }} />}
        </div>
      </div>
      <div className="detail-body">
        <div className="detail-main">
          {error && <Failure message={error} />}
          {!value && !error && <Waiting lines={7} />}
          {info && folder && <Entries root={link.root} entries={value.entries ?? []} />}
          {value?.next && <p className="muted">The first {value.entries?.length.toLocaleString('en')} entries. Download the folder, or use inos ls, for the rest.</p>}
          {info && !folder && <Preview link={text} path={path} name={shown} mediaType={info.media_type ?? ''} size={info.size} />}
        </div>
        <aside className="detail-side">
          <Section title="Copies"><Copies link={link} /></Section>
          <Section title="About">
            <Facts rows={about(info, object, link)} />
          </Section>
        </aside>
      </div>
    </div>
  );
}
