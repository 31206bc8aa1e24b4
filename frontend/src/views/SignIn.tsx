import { Icon } from '../ui/Icon';

/** SignIn is what somebody sees who is not signed in: how to get a link. */
export function SignIn({ error }: { error: string }) {
  return (
    <main className="gate">
      <div className="gate-card">
        <img src="/mark.svg" alt="" width="40" height="40" />
        <h1>Sign in to this node</h1>
        <p>This page belongs to whoever owns the machine that the node runs on. Ask the node for a link, there:</p>
        <pre><code>inos ui</code></pre>
        <p className="muted">The link works once, for a day. <code>inos up</code> prints one at its start.</p>
        {error && <p className="gate-error" role="alert"><Icon name="warn" /> {error}</p>}
      </div>
    </main>
  );
}
