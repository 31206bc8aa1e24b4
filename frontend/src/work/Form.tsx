import { problemOf, type Field } from './schema';

function Input({ field: f, value, onChange, id }: { field: Field; value: string; onChange: (v: string) => void; id: string }) {
  const described = f.description ? `${id}-doc` : undefined;
  const common = { id, value, 'aria-describedby': described, required: f.required };
  switch (f.kind) {
    case 'choice':
      return (
        <select {...common} onChange={(e) => onChange(e.target.value)}>
          {f.initial === '' && <option value="">{f.required ? 'choose one' : 'not given'}</option>}
          {f.options.map((o) => <option key={o} value={o}>{o}</option>)}
        </select>
      );
    case 'switch':
      return (
        <select {...common} onChange={(e) => onChange(e.target.value)}>
          {f.initial === '' && <option value="">not given</option>}
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      );
    case 'integer':
    case 'number':
      return <input {...common} type="number" inputMode="decimal" min={f.min} max={f.max} step={f.kind === 'integer' ? 1 : 'any'} onChange={(e) => onChange(e.target.value)} placeholder="not given" />;
    case 'json':
      return <textarea {...common} rows={3} onChange={(e) => onChange(e.target.value)} spellCheck={false} placeholder="JSON" />;
  }
  return <input {...common} type="text" onChange={(e) => onChange(e.target.value)} placeholder="not given" autoComplete="off" />;
}

/** Form is a method's parameters, one field each. */
export function Form({ fields, texts, onChange }: { fields: Field[]; texts: Record<string, string>; onChange: (name: string, text: string) => void }) {
  if (fields.length === 0) return <p className="muted">This method takes no parameters.</p>;
  return (
    <div className="params">
      {fields.map((f) => {
        const text = texts[f.name] ?? f.initial;
        const problem = problemOf(f, text);
        const id = `param-${f.name}`;
        return (
          <div key={f.name} className="field">
            <label htmlFor={id}>{f.name.replaceAll('_', ' ')}{f.required && <em> needed</em>}</label>
            <Input field={f} value={text} id={id} onChange={(v) => onChange(f.name, v)} />
            {problem && text !== '' ? <small className="bad-text" role="alert">{f.name} {problem}</small> : f.description && <small id={`${id}-doc`}>{f.description}</small>}
          </div>
        );
      })}
    </div>
  );
}
