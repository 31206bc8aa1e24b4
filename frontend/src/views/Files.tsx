import { useEffect, useMemo, useRef, useState, type DragEvent, type FormEvent } from 'react';
import { messageOf, parseLink, remove, type Link, type StoredObject } from '../lib/api';
import { chosen, dropped } from '../lib/drop';
import { ago, bytes, count } from '../lib/format';
import { address, go, useRoute } from '../lib/route';
import { getState, refreshObjects, setState, useStore } from '../lib/store';
import { Detail } from '../files/Detail';
import { enqueue } from '../files/uploads';
import { Icon } from '../ui/Icon';
import { Badge, Button, Dialog, Empty, Failure, Tabs, Waiting } from '../ui/parts';
import { Anchor } from '../ui/Shell';
import { notify, undoable } from '../ui/toasts';

/** opened are links of others that were pasted here; their keys stay in memory. */
const opened = new Map<string, string>();

/** removeSoon takes an object from the list at once and from the mesh when nobody wants it back. */
function removeSoon(o: StoredObject): void {
  const before = getState().objects.value ?? [];
  setState({ objects: { value: before.filter((p) => p.link !== o.link) } });
  hidden.add(o.link);
  const root = parseLink(o.link)?.root ?? '';
  undoable(
    `Removed ${o.name}`,
    (leaving) => void remove(`/v1/objects/${root}`, leaving).then(
      () => { hidden.delete(o.link); void refreshObjects(); },
      (e: unknown) => { hidden.delete(o.link); void refreshObjects(); notify(`${o.name} was not removed: ${messageOf(e)}`, 'bad'); },
    ),
    () => {
      hidden.delete(o.link);
      setState({ objects: { value: [...(getState().objects.value ?? [])] } }); // shown again even when nothing was refreshed meanwhile
      void refreshObjects();
    },
  );
}

const hidden = new Set<string>();

export function Files() {
  const { rest, query } = useRoute();
  const [over, setOver] = useState(false);
  const objects = useStore((s) => s.objects);
  const list = useMemo(() => (objects.value ?? []).filter((o) => !hidden.has(o.link)), [objects.value]);
  const drop = (e: DragEvent): void => {
    e.preventDefault();
    setOver(false);
    dropped(e.dataTransfer).then(enqueue, (why: unknown) => notify(messageOf(why), 'bad'));
  };
  const root = rest[0] ?? '';
  return (
    <div
      className={`files ${over ? 'over' : ''}`} onDrop={drop}
      onDragOver={(e) => { e.preventDefault(); setOver(true); }}
      onDragLeave={(e) => { if (!e.currentTarget.contains(e.relatedTarget as Node | null)) setOver(false); }}
    >
      {root ? <Opened root={root} path={query.get('path') ?? ''} list={list} loading={!objects.value} /> : <List list={list} loading={!objects.value} error={objects.error} />}
      {over && <div className="drop-here" aria-hidden="true"><Icon name="upload" /><strong>Drop to keep it in the mesh</strong></div>}
    </div>
  );
}

function Opened({ root, path, list, loading }: { root: string; path: string; list: StoredObject[]; loading: boolean }) {
  const object = list.find((o) => parseLink(o.link)?.root === root);
  const text = object?.link ?? opened.get(root);
  if (!text) {
    if (loading) return <Waiting lines={8} />;
    return (
      <Empty icon="link" title="This object is not in the list">
        <p>It was removed, or belongs to another node. With its link you can open it all the same.</p>
        <Button onClick={() => go('/files')}>All files</Button>
      </Empty>
    );
  }
  return <Detail link={parseLink(text) as Link} text={text} object={object} path={path} onRemove={removeSoon} />;
}

export function AddButtons() {
  const file = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), []);
  const take = (input: HTMLInputElement | null): void => {
    if (input?.files) enqueue(chosen(input.files));
    if (input) input.value = '';
  };
  return (
    <>
      <input ref={file} type="file" multiple hidden aria-label="Files to add" onChange={() => take(file.current)} />
      <input ref={folder} type="file" hidden aria-label="Folder to add" onChange={() => take(folder.current)} />
      <Button icon="folder" onClick={() => folder.current?.click()}>Add folder</Button>
      <Button icon="plus" kind="primary" onClick={() => file.current?.click()}>Add files</Button>
    </>
  );
}

function OpenLink({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [error, setError] = useState('');
  const open = (e: FormEvent): void => {
    e.preventDefault();
    const link = parseLink(text);
    if (!link) return setError('A link reads inos:… and, unless it is public, has a # and 43 characters after it.');
    opened.set(link.root, text.trim());
    onClose();
    go(address('files', [link.root]));
  };
  return (
    <Dialog title="Open a link" onClose={onClose}>
      <form className="form" onSubmit={open}>
        <label className="field"><span>The link</span><input autoFocus value={text} onChange={(e) => setText(e.target.value)} placeholder="inos:bafkr4i…#…" spellCheck={false} autoComplete="off" /></label>
        {error && <Failure message={error} />}
        <footer><Button onClick={onClose}>Cancel</Button><Button kind="primary" type="submit">Open</Button></footer>
      </form>
    </Dialog>
  );
}

type Order = 'created' | 'name' | 'bytes';
const pageSize = 200;

function List({ list, loading, error }: { list: StoredObject[]; loading: boolean; error: string | undefined }) {
  const [query, setQuery] = useState('');
  const [order, setOrder] = useState<Order>('created');
  const [shown, setShown] = useState(pageSize);
  const [opening, setOpening] = useState(false);
  const results = useMemo(() => list.filter((o) => o.method).length, [list]);
  const [only, setOnly] = useState<'put' | 'results'>('put');
  const found = useMemo(() => {
    const q = query.toLowerCase();
    const hits = list.filter((o) => (results === 0 || Boolean(o.method) === (only === 'results')) && o.name.toLowerCase().includes(q));
    return hits.sort((a, b) => (order === 'name' ? a.name.localeCompare(b.name) : b[order] - a[order]));
  }, [list, query, order, only, results]);
  const total = list.reduce((a, o) => a + o.bytes, 0);
  const head = (key: Order, text: string, numeric = false) => (
    <th scope="col" className={numeric ? 'num' : ''} aria-sort={order === key ? (key === 'name' ? 'ascending' : 'descending') : 'none'}>
      <button type="button" onClick={() => setOrder(key)}>{text}</button>
    </th>
  );
  return (
    <>
      <div className="bar">
        <label className="search"><Icon name="search" /><input type="search" value={query} onChange={(e) => { setQuery(e.target.value); setShown(pageSize); }} placeholder="Search by name" aria-label="Search by name" /></label>
        {results > 0 && <Tabs label="Which objects" value={only} onChange={setOnly} options={[['put', 'Files'], ['results', `Results ${results.toLocaleString('en')}`]]} />}
        <span className="muted grow bar-note">{loading ? ' ' : `${count(list.length, 'object')}, ${bytes(total)}`}</span>
        <Button icon="link" onClick={() => setOpening(true)}>Open link</Button>
        <AddButtons />
      </div>
      {error && <Failure message={error} retry={() => void refreshObjects()} />}
      {loading && !error && <Waiting lines={8} />}
      {!loading && list.length === 0 && (
        <Empty icon="upload" title="Drop files or a folder anywhere here">
          <p>Each is sealed, cut into blocks and kept by three nodes. You get one link that brings it back from any of them.</p>
        </Empty>
      )}
      {!loading && list.length > 0 && found.length === 0 && (query ? <Empty icon="search" title={`Nothing is called “${query}”`}><p>Names are searched, not contents.</p></Empty> : <Empty icon="upload" title="Drop files or a folder anywhere here"><p>What jobs made is under Results.</p></Empty>)}
      {found.length > 0 && (
        <table className="list">
          <thead><tr>{head('name', 'Name')}{head('bytes', 'Size', true)}<th scope="col">Receipts</th>{head('created', 'Stored')}<th scope="col"><span className="hidden-text">Actions</span></th></tr></thead>
          <tbody>
            {found.slice(0, shown).map((o) => (
              <tr key={o.link}>
                <td className="name-cell">
                  <Anchor to={address('files', [parseLink(o.link)?.root ?? ''])} className="row-link"><Icon name={o.folder ? 'folder' : 'file'} /><span className="name">{o.name}</span></Anchor>
                  {o.folder && <span className="muted extra">{count(o.files, 'file')}</span>}
                </td>
                <td className="num">{bytes(o.bytes)}</td>
                <td><Badge tone={o.acks >= o.copies ? 'good' : 'warn'}>{o.acks} of {o.copies}</Badge></td>
                <td className="muted">{ago(o.created)}</td>
                <td className="row-actions"><Button icon="trash" kind="quiet" label={`Remove ${o.name}`} onClick={() => removeSoon(o)} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {found.length > shown && <div className="more"><Button onClick={() => setShown(shown + pageSize)}>Show {Math.min(pageSize, found.length - shown)} more of {found.length.toLocaleString('en')}</Button></div>}
      {opening && <OpenLink onClose={() => setOpening(false)} />}
    </>
  );
}
