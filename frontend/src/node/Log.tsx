// What happened on the node: its events and its own log, the newest first.
import { useEffect, useMemo, useRef, useState } from 'react';
import { get, type LogLine } from '../lib/api';
import { useAnswer } from '../lib/answer';
import { clock, count } from '../lib/format';
import { levels, matching, plain, rows, type Level, type Row } from '../lib/log';
import { useStore } from '../lib/store';
import { Badge, Button, CopyButton, Empty, Failure, Section, Tabs, type Tone } from '../ui/parts';

const refreshEvery = 5000; // the log grows without events too
const eventWait = 250; // ms; events come in bursts, and an answer has all lines
const shownAtOnce = 200;

const words: Record<Level, string> = { debug: 'All', info: 'Info', warn: 'Warnings', error: 'Errors' };
const tones: Record<Level, Tone> = { debug: 'muted', info: 'accent', warn: 'warn', error: 'bad' };

/** useLog asks again after events, and now and then while it is seen. */
function useLog(): ReturnType<typeof useAnswer<LogLine[]>> {
  const last = useStore((s) => s.events.at(-1)?.id);
  const log = useAnswer((signal) => get<LogLine[]>('/v1/log', undefined, signal), [last], eventWait);
  const again = useRef(log.again);
  again.current = log.again;
  useEffect(() => {
    const timer = setInterval(() => { if (document.visibilityState === 'visible') again.current(); }, refreshEvery);
    return () => clearInterval(timer);
  }, []);
  return log;
}

export function Log() {
  const events = useStore((s) => s.events);
  const peers = useStore((s) => s.peers.value);
  const [query, setQuery] = useState('');
  const [least, setLeast] = useState<Level>('debug');
  const [shown, setShown] = useState(shownAtOnce);
  const log = useLog();
  const all = useMemo(() => rows(events, log.value ?? [], peers ?? []), [events, log.value, peers]);
  const found = useMemo(() => matching(all, least, query), [all, least, query]);
  const narrow = query !== '' || least !== 'debug';
  return (
    <Section title="What happened" aside={<CopyButton text={() => found.map(plain).join('\n')} label="Copy" />}>
      <div className="bar log-bar">
        <Tabs label="Least level" value={least} onChange={setLeast} options={levels.map((l): [Level, string] => [l, words[l]])} />
        <input className="filter" type="search" value={query} onChange={(e) => setQuery(e.target.value)} placeholder="Filter" aria-label="Filter the log" />
        <span className="muted grow log-count" role="status">{narrow ? `${found.length.toLocaleString('en')} of ` : ''}{count(all.length, 'line')}</span>
      </div>
      {log.error && <Failure message={log.error} retry={log.again} />}
      {found.length === 0 ? <Empty icon="node" title={narrow ? 'Nothing matches' : 'Nothing has happened yet'}>{narrow && <Button onClick={() => { setQuery(''); setLeast('debug'); }}>Show everything</Button>}</Empty> : (
        <ol className="log" tabIndex={0} aria-label="Log, newest first">
          {found.slice(0, shown).map((r) => <Line key={r.key} row={r} />)}
          {found.length > shown && <li className="more"><Button onClick={() => setShown(shown + shownAtOnce)}>Show older, {count(found.length - shown, 'line')}</Button></li>}
        </ol>
      )}
    </Section>
  );
}

function Line({ row: r }: { row: Row }) {
  return (
    <li className={`line ${r.level}`}>
      <time dateTime={new Date(r.time).toISOString()} title={new Date(r.time).toLocaleString('en-GB')}>{clock(r.time)}</time>
      <Badge tone={tones[r.level]}>{r.level}</Badge>
      <div>
        <p className="break">{r.message}</p>
        {r.fields.length > 0 && <p className="log-fields">{r.fields.map(([k, v], i) => <span key={k + i}><b>{k}</b> <code className="break">{v}</code></span>)}</p>}
      </div>
    </li>
  );
}
