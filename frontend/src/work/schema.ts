// JSON Schema as modules write it for their parameters: an object of scalars,
// and of short lists of them. What the form cannot show is edited as JSON.

export interface Field {
  name: string;
  description: string;
  required: boolean;
  kind: 'choice' | 'integer' | 'number' | 'text' | 'switch' | 'json';
  options: string[];
  min?: number;
  max?: number;
  initial: string; // as the form holds it; empty means not given
}

type Schema = Record<string, unknown>;

const isSchema = (v: unknown): v is Schema => typeof v === 'object' && v !== null && !Array.isArray(v);

function typeOf(s: Schema): string {
  const t = Array.isArray(s.type) ? s.type.find((x) => x !== 'null') : s.type;
  return typeof t === 'string' ? t : '';
}

function kindOf(s: Schema): Field['kind'] {
  if (Array.isArray(s.enum) && s.enum.every((v) => typeof v === 'string')) return 'choice';
  switch (typeOf(s)) {
    case 'integer': return 'integer';
    case 'number': return 'number';
    case 'string': return 'text';
    case 'boolean': return 'switch';
  }
  return 'json';
}

function initialOf(s: Schema, kind: Field['kind']): string {
  if (s.default === undefined || s.default === null) return '';
  return kind === 'json' ? JSON.stringify(s.default) : String(s.default);
}

/** fieldsOf lists a schema's properties: those that must be given first. */
export function fieldsOf(schema: unknown): Field[] {
  if (!isSchema(schema) || !isSchema(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields = Object.entries(schema.properties).map(([name, v]): Field => {
    const s = isSchema(v) ? v : {};
    const kind = kindOf(s);
    const f: Field = {
      name, kind, required: required.includes(name), description: typeof s.description === 'string' ? s.description : '',
      options: kind === 'choice' ? (s.enum as string[]) : [], initial: initialOf(s, kind),
    };
    if (typeof s.minimum === 'number') f.min = s.minimum;
    if (typeof s.maximum === 'number') f.max = s.maximum;
    return f;
  });
  return fields.sort((a, b) => Number(b.required) - Number(a.required));
}

/** valueOf turns what the form holds into JSON; undefined leaves it out. */
export function valueOf(f: Field, text: string): unknown {
  if (text === '') return undefined;
  switch (f.kind) {
    case 'integer':
    case 'number': return Number(text);
    case 'switch': return text === 'true';
    case 'json': return JSON.parse(text) as unknown;
  }
  return text;
}

/** problemOf says what is wrong with a field's text, or nothing. */
export function problemOf(f: Field, text: string): string {
  if (text === '') return f.required ? 'is needed' : '';
  if (f.kind === 'integer' || f.kind === 'number') {
    const n = Number(text);
    if (Number.isNaN(n) || (f.kind === 'integer' && !Number.isInteger(n))) return f.kind === 'integer' ? 'is a whole number' : 'is a number';
    if (f.min !== undefined && n < f.min) return `is at least ${f.min}`;
    if (f.max !== undefined && n > f.max) return `is at most ${f.max}`;
  }
  if (f.kind === 'json') {
    try {
      JSON.parse(text);
    } catch {
      return 'is JSON';
    }
  }
  return '';
}

/** paramsOf gathers a form; what still has its default is left out. */
export function paramsOf(fields: Field[], texts: Record<string, string>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const f of fields) {
    const text = texts[f.name] ?? f.initial;
    if (text === f.initial && !f.required) continue;
    const v = valueOf(f, text);
    if (v !== undefined) out[f.name] = v;
  }
  return out;
}
