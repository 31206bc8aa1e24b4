// The node's own log and its events as one list of rows.
import type { LogLine, NodeEvent, Peer } from './api';
import { describe } from './events';
import { bytes, exact, gas, short } from './format';
import { isEdge } from './members';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export const levels: Level[] = ['debug', 'info', 'warn', 'error'];

export interface Row {
  key: string; // the same as long as the row is listed, unless an equal line of the same millisecond comes after it
  time: number;
  level: Level;
  message: string;
  fields: [string, string][];
}

/** levelOf reads slog's names, such as WARN or INFO+2. */
function levelOf(name: string): Level {
  const base = name.toLowerCase().replace(/[+-].*/, '');
  return levels.find((l) => l === base) ?? 'info';
}

/** An event's last word says how bad it is. */
const badness: Record<string, Level> = { failed: 'error', quarantined: 'error', gone: 'warn', suspected: 'warn', refused: 'warn', revoked: 'warn', turned: 'warn', healthy: 'debug' };

/** worded is a field's value with its unit. */
function worded(key: string, v: unknown): string {
  if (typeof v !== 'number') return String(v);
  switch (key) {
    case 'bytes': return bytes(v);
    case 'gas': return gas(v);
    case 'price': return `${exact(v)} credits`;
  }
  return String(v);
}

function eventRow(e: NodeEvent, peers: Peer[]): Row {
  const about = peers.find((p) => p.node === e.subject);
  const member = e.type.startsWith('mesh:member');
  const edge = about !== undefined && isEdge(about);
  const data = typeof e.data === 'object' && e.data !== null ? Object.entries(e.data as Record<string, unknown>) : [];
  const fields: [string, string][] = [['event', e.type]];
  if (e.subject && !(member && about?.name)) fields.push(['about', about?.name || short(e.subject)]);
  for (const [k, v] of data) if (typeof v !== 'object' && v !== '') fields.push([k, typeof v === 'string' && v.startsWith('did:') ? (peers.find((p) => p.node === v)?.name ?? short(v)) : worded(k, v)]);
  const level = badness[e.type.split(':').at(-1) ?? ''] ?? 'info';
  return { key: `e${e.id}`, time: Date.parse(e.time), level: edge && level === 'warn' ? 'info' : level, message: (member && about?.name ? `${about.name} ` : '') + describe(e, edge), fields };
}

/** rows lists both, the newest first. */
export function rows(events: NodeEvent[], lines: LogLine[], peers: Peer[]): Row[] {
  const seen = new Map<string, number>();
  const own = lines.toReversed().map((l): Row => { // equal lines are numbered from the newest: the node drops the oldest
    const name = `l${l.time} ${l.message}`;
    const nth = seen.get(name) ?? 0;
    seen.set(name, nth + 1);
    return { key: `${name} ${nth}`, time: l.time, level: levelOf(l.level), message: l.message, fields: (l.fields ?? []).map((f) => [f.key, f.value]) };
  });
  return [...own, ...events.map((e) => eventRow(e, peers)).reverse()].sort((a, b) => b.time - a.time);
}

/** matching keeps what is of a level or worse and holds all words of a query. */
export function matching(all: Row[], least: Level, query: string): Row[] {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  const from = levels.indexOf(least);
  return all.filter((r) => {
    if (levels.indexOf(r.level) < from) return false;
    const text = plain(r).toLowerCase();
    return wanted.every((w) => text.includes(w));
  });
}

/** plain is a row as a line of text. */
export function plain(r: Row): string {
  return [new Date(r.time).toISOString(), r.level.toUpperCase(), r.message, ...r.fields.map(([k, v]) => `${k}=${/[\s"=]/.test(v) ? JSON.stringify(v) : v}`)].join(' ');
}
