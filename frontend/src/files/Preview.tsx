// What a file holds, shown without running any of it. Pictures, sound and film
// come by ticket; text and tables are read as bytes and shown as text.
import { useEffect, useState } from 'react';
import { head, messageOf, parseLink, ticket } from '../lib/api';
import { bytes } from '../lib/format';
import { delimiterOf, parseTable } from '../lib/table';
import { Failure, Waiting } from '../ui/parts';

const textLimit = 256 << 10;

export type Kind = 'picture' | 'sound' | 'film' | 'table' | 'text' | 'none';

const textEnding = /\.(txt|md|log|json|ya?ml|toml|ini|conf|xml|html?|css|js|ts|tsx|go|rs|py|c|h|sh|sql|capnp|svg)$/i;

/** kindOf decides by media type, then by the name's ending. */
export function kindOf(name: string, mediaType: string): Kind {
  const type = mediaType.split(';')[0] ?? '';
  if (/^image\/(png|jpeg|gif|webp|avif|bmp|svg\+xml)$/.test(type)) return 'picture';
  if (type.startsWith('audio/')) return 'sound';
  if (type.startsWith('video/')) return 'film';
  if (type === 'text/csv' || type === 'text/tab-separated-values' || /\.(csv|tsv)$/i.test(name)) return 'table';
  if (type.startsWith('text/') || /json|xml|javascript|yaml|toml/.test(type) || textEnding.test(name)) return 'text';
  return 'none';
}

export function Preview({ link, path, name, mediaType, size }: { link: string; path: string; name: string; mediaType: string; size: number }) {
  const kind = kindOf(name, mediaType);
  if (kind === 'none') return <p className="preview-none muted">No preview for {mediaType || 'this kind of file'}. Download it to look inside.</p>;
  if (kind === 'table' || kind === 'text') return <Text link={link} path={path} name={name} size={size} table={kind === 'table'} />;
  return <Media link={link} path={path} name={name} kind={kind} />;
}

function Media({ link, path, name, kind }: { link: string; path: string; name: string; kind: Kind }) {
  const { url, error } = useTicket(link, path);
  const [broken, setBroken] = useState(false);
  if (error || broken) return <Failure message={error || 'the browser cannot show this file; it may be damaged or of another kind than its name says'} />;
  const fail = (): void => setBroken(true);
  return (
    <div className={`preview ${kind}`}>
      {url && kind === 'picture' && <img src={url} alt={name} onError={fail} />}
      {url && kind === 'sound' && <audio src={url} controls onError={fail} aria-label={name} />}
      {url && kind === 'film' && <video src={url} controls onError={fail} aria-label={name} />}
    </div>
  );
}

export function useTicket(link: string, path: string): { url: string; error: string } {
  const [state, setState] = useState({ url: '', error: '' });
  useEffect(() => {
    let gone = false;
    setState({ url: '', error: '' });
    ticket(link, path, { preview: true }).then(
      (url) => !gone && setState({ url, error: '' }),
      (e: unknown) => !gone && setState({ url: '', error: messageOf(e) }),
    );
    return () => { gone = true; };
  }, [link, path]);
  return state;
}

function Text({ link, path, name, size, table }: { link: string; path: string; name: string; size: number; table: boolean }) {
  const [text, setText] = useState<string>();
  const [error, setError] = useState('');
  useEffect(() => {
    const parsed = parseLink(link);
    if (!parsed) return;
    if (size === 0) return setText('');
    const end = new AbortController();
    setText(undefined);
    setError('');
    head(parsed, path, Math.min(size, textLimit), end.signal).then(
      (b) => setText(new TextDecoder().decode(b)),
      (e: unknown) => !end.signal.aborted && setError(messageOf(e)),
    );
    return () => end.abort();
  }, [link, path, size]);
  if (error) return <Failure message={error} />;
  if (text === undefined) return <Waiting lines={6} />;
  const cut = size > textLimit ? <p className="muted">The first {bytes(textLimit)} of {bytes(size)}.</p> : null;
  if (table) return <><Table text={text} name={name} />{cut}</>;
  return <><pre className="preview text" tabIndex={0}>{pretty(name, text) || ' '}</pre>{cut}</>;
}

/** pretty spreads JSON over lines; all else stays as it is. */
function pretty(name: string, text: string): string {
  if (!/\.json$/i.test(name) && !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const maxRows = 200;

function Table({ text, name }: { text: string; name: string }) {
  const rows = parseTable(text, delimiterOf(name, text), maxRows + 1);
  const [first = [], ...rest] = rows;
  return (
    <div className="preview table" tabIndex={0} role="region" aria-label={`Table ${name}`}>
      <table>
        <thead><tr>{first.map((c, i) => <th key={i} scope="col">{c}</th>)}</tr></thead>
        <tbody>{rest.map((r, i) => <tr key={i}>{r.map((c, j) => <td key={j}>{c}</td>)}</tr>)}</tbody>
      </table>
      {rest.length >= maxRows && <p className="muted">The first {maxRows} rows.</p>}
    </div>
  );
}
