// The Prometheus text format, as far as a node writes it, and what its numbers are called here.
import { bytes, duration, gas } from './format';

export interface Metric {
  name: string;
  labels: string;
  kind: string;
  value: number;
}

/** parseMetrics reads samples with their TYPE. */
export function parseMetrics(text: string): Metric[] {
  const kinds = new Map<string, string>();
  const out: Metric[] = [];
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)/.exec(line);
    if (type?.[1]) kinds.set(type[1], type[2] ?? '');
    const m = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
    if (m?.[1]) out.push({ name: m[1], labels: m[2] ?? '', kind: kinds.get(m[1]) ?? '', value: Number(m[3]) });
  }
  return out;
}

/** title makes words of a metric's name. */
export function title(name: string): string {
  const words = name.replace(/^inos_/, '').replace(/_total$/, '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** known are the node's metrics by subsystem, without their inos_, in the order they are shown. A + ahead of the words marks
 * what should stay at zero. */
const known: [string, Record<string, string>][] = [
  ['Files', { objects: 'Objects', puts_total: 'Puts', puts_failed_total: '+Puts that failed', gets_total: 'Gets', stores_failed_total: '+Copies that others did not take' }],
  ['Storage', { store_bytes: 'Kept', store_free_bytes: 'Free', store_blocks: 'Blocks', stored_bytes_total: 'Written', served_bytes_total: 'Sent to members', repair_blocks: 'Copies made by the last repair', local_blocks_bad_total: '+Damaged blocks met', store_quarantined: '+Damaged blocks set aside' }],
  ['Jobs', { jobs_done_total: 'Done here', jobs_failed_total: '+Failed here', jobs_turned_away_total: '+Turned away', jobs_final_total: 'Own jobs ended', gas_total: 'Gas used here' }],
  ['Modules', { module_calls_total: 'Calls', module_crashes_total: '+Crashes', module_turned_away_total: '+Turned away', modules_quarantined: '+In quarantine', messages_delivered_total: 'Messages delivered', messages_failed_total: '+Messages that failed' }],
  ['Mesh', { peers: 'Nodes connected', joins_refused_total: '+Joins refused', peers_refused_total: '+Connections refused', peers_bad_total: '+Connections that broke the rules', peer_faults_total: '+Members that broke the protocol', same_key_total: '+Seen elsewhere under this identity' }],
  ['Credits', { payments_refused_total: '+Payments refused', payments_failed_total: '+Payments not written down' }],
  ['Memory', { resident_bytes: 'Resident', arena_heap_bytes: 'Arena heap in use', arena_heap_denied_total: '+Allocations denied', arena_heap_faults_total: '+Wrong frees', arena_heap_leaked_bytes_total: '+Leaked', metrics_overflow_total: '+Counted without a place in the table' }],
  ['Attached processes', { leases: 'Attached now', leases_total: 'Attached since the start', leases_ended_total: 'Left', leases_refused_total: '+Refused', leases_reclaimed_bytes_total: 'Taken back from those that left' }],
];
const places = new Map<string, { group: string; at: number; words: string }>(known.flatMap(([group, names], g) => Object.entries(names).map(([name, words], i) => [`inos_${name}`, { group, at: g * 100 + i, words }] as const)));
const rest = 'Other';

export interface Shown extends Metric {
  key: string;
  label: string;
  of: string; // the labels' values, such as a module's name
  trouble: boolean; // it should be zero, and is not
  text: string; // the value with its unit
}

/** figure renders a metric's value by the unit that its name ends with. */
export function figure(name: string, value: number): string {
  const unit = name.replace(/_total$/, '');
  if (!Number.isFinite(value)) return String(value);
  if (unit.endsWith('_bytes')) return bytes(value);
  if (unit.endsWith('_seconds')) return duration(value * 1000);
  if (unit.endsWith('_ms')) return duration(value);
  if (unit.endsWith('_us')) return duration(value / 1000);
  if (unit.endsWith('_gas')) return gas(value); // inos_gas_total, and what is named like it
  return value.toLocaleString('en', { maximumFractionDigits: 2 });
}

function shown(m: Metric): Shown {
  const words = places.get(m.name)?.words ?? title(m.name);
  const of = [...m.labels.matchAll(/="((?:[^"\\]|\\.)*)"/g)].map((v) => v[1]).join(', ');
  return { ...m, key: m.name + m.labels, label: words.replace('+', ''), of, trouble: words.startsWith('+') && m.value > 0, text: figure(m.name, m.value) };
}

/** groups are the metrics by subsystem whose words, raw name or labels hold all words of a query. */
export function groups(metrics: Metric[], query = ''): [string, Shown[]][] {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  const out = new Map<string, Shown[]>([...known.map(([g]) => g), rest].map((g) => [g, []]));
  const at = (m: Metric): number => places.get(m.name)?.at ?? Infinity;
  const sorted = metrics.map((m, i) => ({ m, i })).sort((a, b) => (at(a.m) === at(b.m) ? a.i - b.i : at(a.m) - at(b.m)));
  for (const { m } of sorted) {
    const group = places.get(m.name)?.group ?? rest;
    const s = shown(m);
    const text = `${group} ${s.label} ${m.name} ${m.labels}`.toLowerCase();
    if (wanted.every((w) => text.includes(w))) out.get(group)?.push(s);
  }
  return [...out].filter(([, list]) => list.length > 0);
}
