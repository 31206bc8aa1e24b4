// The small parts that every view is made of.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { Icon, type IconName } from './Icon';

export function Button(p: {
  children?: ReactNode; icon?: IconName; onClick?: () => void; kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  disabled?: boolean | undefined; label?: string; type?: 'button' | 'submit'; autoFocus?: boolean; expanded?: boolean;
}) {
  return (
    <button
      type={p.type ?? 'button'} className={`button ${p.kind ?? 'plain'} ${p.children ? '' : 'only-icon'}`}
      onClick={p.onClick} disabled={p.disabled} aria-label={p.label} aria-expanded={p.expanded} title={p.children ? undefined : p.label} autoFocus={p.autoFocus}
    >
      {p.icon && <Icon name={p.icon} />}
      {p.children && <span>{p.children}</span>}
    </button>
  );
}

/** CopyButton says that it has copied. A text that is long to make is made when it is clicked. */
export function CopyButton({ text, label, kind }: { text: string | (() => string); label: string; kind?: 'plain' | 'primary' | 'quiet' }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <Button icon={done ? 'check' : 'copy'} kind={kind ?? 'plain'} onClick={() => void navigator.clipboard.writeText(typeof text === 'string' ? text : text()).then(() => setDone(true))}>
      {done ? 'Copied' : label}
    </Button>
  );
}

export type Tone = 'good' | 'warn' | 'bad' | 'muted' | 'accent';

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

export function Dot({ tone }: { tone: Tone }) {
  return <span className={`dot ${tone}`} aria-hidden="true" />;
}

/** Meter is a part of a whole. */
export function Meter({ value, max, label, tone }: { value: number; max: number; label: string; tone?: Tone }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <span className={`meter ${tone ?? 'accent'}`} role="meter" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={max}>
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}

export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([k, v]) => (
        <div key={k}>
          <dt>{k}</dt>
          <dd>{v}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Empty says what is not there yet and what to do about it. */
export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-icon"><Icon name={icon} /></span>
      <h3>{title}</h3>
      <div className="empty-text">{children}</div>
    </div>
  );
}

export function Failure({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div className="failure" role="alert">
      <Icon name="warn" />
      <p>{message}</p>
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

/** Waiting holds the room of what is being read, so that nothing jumps. */
export function Waiting({ lines = 5, label = 'Loading' }: { lines?: number; label?: string }) {
  return (
    <div className="waiting" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className={`bone w${(i * 3) % 4}`} />
      ))}
    </div>
  );
}

export function Section({ title, aside, children, id }: { title: string; aside?: ReactNode; children: ReactNode; id?: string }) {
  const own = useId();
  return (
    <section className="section" aria-labelledby={own} id={id}>
      <header>
        <h2 id={own}>{title}</h2>
        {aside && <div className="aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** Dialog is modal: the browser keeps the focus inside and Escape closes it. */
export function Dialog({ title, onClose, children, wide }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = ref.current;
    if (d && !d.open) d.showModal();
    return () => d?.close();
  }, []);
  return (
    <dialog
      ref={ref} className={wide ? 'dialog wide' : 'dialog'} aria-labelledby={id}
      onCancel={(e) => { e.preventDefault(); onClose(); }}
      onClick={(e) => { if (e.target === ref.current) onClose(); }}
    >
      <div className="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <Button icon="close" kind="quiet" label="Close" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Confirm asks before what cannot be undone. */
export function Confirm(p: { title: string; children: ReactNode; action: string; onConfirm: () => Promise<void>; onClose: () => void }) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const act = (): void => {
    setBusy(true);
    p.onConfirm().then(p.onClose, (e: unknown) => { setError(e instanceof Error ? e.message : String(e)); setBusy(false); });
  };
  return (
    <Dialog title={p.title} onClose={p.onClose}>
      <div className="prose">{p.children}</div>
      {error && <Failure message={error} />}
      <footer>
        <Button onClick={p.onClose}>Cancel</Button>
        <Button kind="danger" onClick={act} disabled={busy}>{p.action}</Button>
      </footer>
    </Dialog>
  );
}

/** Tabs are a row of choices over what is below them. */
export function Tabs<T extends string>({ value, options, onChange, label }: { value: T; options: [T, string][]; onChange: (v: T) => void; label: string }) {
  return (
    <div className="tabs" role="group" aria-label={label}>
      {options.map(([v, text]) => (
        <button key={v} type="button" aria-pressed={v === value} onClick={() => onChange(v)}>{text}</button>
      ))}
    </div>
  );
}
