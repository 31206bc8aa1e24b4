// What surrounds every view: where one is, how the mesh is, and the way out.
import { useEffect, useState, type MouseEvent, type ReactNode } from 'react';
import { forgetKey, signOut } from '../lib/api';
import { count } from '../lib/format';
import { present } from '../lib/members';
import { go, useRoute, views, type View } from '../lib/route';
import { useStore } from '../lib/store';
import { Icon, type IconName } from './Icon';
import { Button, Dot, type Tone } from './parts';

const titles: Record<View, string> = { mesh: 'Mesh', files: 'Files', work: 'Work', credits: 'Credits', modules: 'Modules', live: 'Live', node: 'Node' };

export function Anchor({ to, children, className, label }: { to: string; children: ReactNode; className?: string; label?: string }) {
  const open = (e: MouseEvent): void => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return;
    e.preventDefault();
    go(to);
  };
  return <a href={to} onClick={open} className={className} aria-label={label}>{children}</a>;
}

function NavItem({ view, current }: { view: View; current: boolean }) {
  return (
    <a
      href={`/${view}`} className="nav-item" aria-current={current ? 'page' : undefined}
      onClick={(e) => { if (!e.metaKey && !e.ctrlKey && !e.shiftKey) { e.preventDefault(); go(`/${view}`); } }}
    >
      <Icon name={view as IconName} />
      <span>{titles[view]}</span>
    </a>
  );
}

/** health is the mesh in one word and one colour. */
export function useHealth(): { tone: Tone; text: string } {
  const status = useStore((s) => s.status.value);
  const connected = useStore((s) => s.connected);
  const peers = useStore((s) => s.peers.value);
  if (!status) return { tone: 'muted', text: 'connecting' };
  if (!connected) return { tone: 'bad', text: 'the node does not answer' };
  const online = peers ? peers.filter((p) => p.self || (!p.revoked && p.online)).length : status.peers_online + 1;
  const known = peers ? peers.filter(present).length : status.peers_known + 1;
  if (status.under_copied > 0) return { tone: 'warn', text: `${online} of ${known} online, copies missing` };
  if (online < known) return { tone: 'warn', text: `${online} of ${known} nodes online` };
  return { tone: 'good', text: known === 1 ? 'alone in its mesh' : `all ${count(known, 'node')} online` };
}

type Theme = 'auto' | 'light' | 'dark';

export function applyTheme(t: Theme): void {
  if (t === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.dataset.theme = t;
  window.dispatchEvent(new Event('inos-theme'));
}

function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(() => (localStorage.getItem('inos.theme') as Theme | null) ?? 'auto');
  useEffect(() => {
    localStorage.setItem('inos.theme', theme);
    applyTheme(theme);
  }, [theme]);
  const following: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };
  const icon: Record<Theme, IconName> = { auto: 'auto', light: 'sun', dark: 'moon' };
  return <Button icon={icon[theme]} kind="quiet" label={`Colours: ${theme}. Change to ${following[theme]}`} onClick={() => setTheme(following[theme])} />;
}

export function Shell({ children, onHelp }: { children: ReactNode; onHelp: () => void }) {
  const { view } = useRoute();
  const name = useStore((s) => s.status.value?.name);
  const health = useHealth();
  useEffect(() => { document.title = `${titles[view]} · ${name ?? 'INOS'}`; }, [view, name]);
  const leave = (): void => void signOut().catch(() => forgetKey()).finally(() => location.assign('/'));
  return (
    <div className="shell">
      <a className="skip" href="#main">Skip to content</a>
      <nav className="side" aria-label="Views">
        <div className="brand"><img src="/mark.svg" alt="" width="24" height="24" /><span>INOS</span></div>
        {views.map((v) => <NavItem key={v} view={v} current={v === view} />)}
      </nav>
      <header className="top">
        <h1>{titles[view]}</h1>
        <div className="where" title={`${name ?? ''}: ${health.text}`}>
          <Dot tone={health.tone} />
          <strong>{name ?? '…'}</strong>
          <span className="muted health-text">{health.text}</span>
        </div>
        <div className="top-actions">
          <ThemeSwitch />
          <Button icon="help" kind="quiet" label="What is this?" onClick={onHelp} />
          <Button icon="out" kind="quiet" label="Sign out" onClick={leave} />
        </div>
      </header>
      <main id="main" tabIndex={-1} className={`view view-${view}`}>{children}</main>
    </div>
  );
}
