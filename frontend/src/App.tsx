import { lazy, Suspense, useEffect, useState, type ComponentType } from 'react';
import { forgetKey, hasKey, messageOf, signIn, whenSignedOut } from './lib/api';
import { speakTo, useMode, wasTab } from './lib/mode';
import { go, useRoute, type View } from './lib/route';
import { follow } from './lib/store';
import { Uploads } from './files/Uploads';
import { ThisTab, useTab } from './tab/ThisTab';
import { tab } from './tab/control';
import { Waiting } from './ui/parts';
import { Shell } from './ui/Shell';
import { Toasts } from './ui/toasts';
import { Credits } from './views/Credits';
import { Files } from './views/Files';
import { Mesh } from './views/Mesh';
import { Modules } from './views/Modules';
import { Node } from './views/Node';
import { SignIn } from './views/SignIn';
import { Welcome } from './views/Welcome';
import { Work } from './views/Work';

const Live = lazy(() => import('./views/Live').then((m) => ({ default: m.Live }))); // brings a module of its own
const components: Record<View, ComponentType> = { mesh: Mesh, files: Files, work: Work, credits: Credits, modules: Modules, live: Live, node: Node };
const fragment = '#sign-in=';
const joinFragment = '#join=';
const seenStore = 'inos.welcomed';

/** takeToken removes a sign-in token from the address before anything else sees it. */
function takeToken(): string {
  const token = location.hash.startsWith(fragment) ? location.hash.slice(fragment.length) : '';
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return token;
}

/** takeInvite does the same with an invite for this tab. */
function takeInvite(): string {
  const invite = location.hash.startsWith(joinFragment) ? decodeURIComponent(location.hash.slice(joinFragment.length)) : '';
  if (invite) history.replaceState(null, '', '/node/tab');
  return invite;
}

const token = takeToken();
tab.invite = takeInvite();
addEventListener('hashchange', () => { // a link opened in a page that is here already
  const invite = takeInvite();
  if (invite) { tab.invite = invite; go('/node/tab', true); dispatchEvent(new PopStateEvent('popstate')); }
});

function useSession(): { signedIn: boolean | undefined; error: string } {
  const [signedIn, setSignedIn] = useState<boolean | undefined>(token ? undefined : hasKey());
  const [error, setError] = useState('');
  useEffect(() => {
    whenSignedOut(() => {
      forgetKey();
      setSignedIn(false);
    });
    if (!token) return;
    signIn(token).then(
      () => setSignedIn(true),
      (e: unknown) => {
        setSignedIn(hasKey()); // an old link in a browser that is signed in already
        setError(messageOf(e));
      },
    );
  }, []);
  return { signedIn, error };
}

export function App() {
  const { signedIn, error } = useSession();
  const mode = useMode();
  useResume();
  if (mode === 'node' && signedIn === false && (tab.invite || tab.member)) return <Alone />;
  if (signedIn === undefined) return <main className="gate" aria-busy="true"><p className="muted">Signing in…</p></main>;
  if (!signedIn && mode === 'node') return <SignIn error={error} />;
  return <Inside key={mode} />;
}

/** Alone is the page of whoever has no sign-in here and a tab that is, or is about to be, a member. */
function Alone() {
  const { phase } = useTab();
  useEffect(() => { if (phase === 'running') speakTo('tab', tab.way); }, [phase]);
  return (
    <main className="gate alone">
      <h1>INOS</h1>
      <ThisTab />
      <Toasts />
    </main>
  );
}

/** useResume goes on speaking to the tab's own node after a reload. */
function useResume(): void {
  useEffect(() => {
    if (!wasTab() || !tab.member) return;
    const end = tab.subscribe(() => {
      if (tab.state.phase !== 'running') return;
      end();
      speakTo('tab', tab.way);
    });
    tab.start();
    return end;
  }, []);
}

function Inside() {
  const { view } = useRoute();
  const [welcome, setWelcome] = useState(() => localStorage.getItem(seenStore) === null);
  useEffect(() => {
    const end = new AbortController();
    void follow(end.signal);
    return () => end.abort();
  }, []);
  const Current = components[view];
  const close = (): void => {
    localStorage.setItem(seenStore, '1');
    setWelcome(false);
  };
  return (
    <>
      <Shell onHelp={() => setWelcome(true)}><Suspense fallback={<Waiting />}><Current /></Suspense></Shell>
      <Uploads />
      <Toasts />
      {welcome && <Welcome onClose={close} />}
    </>
  );
}
