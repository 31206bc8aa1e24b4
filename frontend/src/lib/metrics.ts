// The Prometheus text format, as far as a node writes it.

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
