// An invite as text and as a picture for a phone's camera.
import qrcode from 'qrcode-generator';
import { useState, type FormEvent, type ReactNode } from 'react';
import { isLoopbackHost, onlyLoopback } from '../lib/addresses';
import { messageOf, post, type Invite as InviteAnswer } from '../lib/api';
import { useStore } from '../lib/store';
import { Icon } from '../ui/Icon';
import { Button, CopyButton, Dialog, Failure } from '../ui/parts';

const quietZone = 4; // modules, as ISO/IEC 18004 wants
const wideEnough = 400; // pixels: a module is a whole number of them

/** QR draws text as one SVG path, with the least error correction: the text is long, and a screen is clean. */
export function QR({ text, label }: { text: string; label: string }) {
  const code = qrcode(0, 'L');
  code.addData(text);
  code.make();
  const n = code.getModuleCount();
  const side = n + 2 * quietZone;
  let path = '';
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) if (code.isDark(y, x)) path += `M${x + quietZone} ${y + quietZone}h1v1h-1z`;
  return (
    <svg className="qr" viewBox={`0 0 ${side} ${side}`} width={side * Math.max(2, Math.floor(wideEnough / side))} role="img" aria-label={label} shapeRendering="crispEdges">
      <rect width={side} height={side} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

/** OnlyHere warns of what nobody elsewhere can use. */
function OnlyHere({ children }: { children: ReactNode }) {
  return <p className="only-here" role="note"><Icon name="warn" /><span>{children}</span></p>;
}

/** TabInvite is an invite as an address to open. */
function TabInvite({ invite, onClose }: { invite: InviteAnswer; onClose: () => void }) {
  const link = `${location.origin}/#join=${invite.text}`;
  return (
    <Dialog title="One browser may join with this" onClose={onClose} wide>
      <div className="invite">
        <QR text={link} label="The link as a QR code" />
        <div className="prose">
          {isLoopbackHost(location.hostname) && <OnlyHere>Only browsers on this machine can open it. For others put the page behind a proxy (docs/deploy.md).</OnlyHere>}
          <p>Open this link in the browser that is to join:</p>
          <pre className="secret" tabIndex={0}><code>{link}</code></pre>
          <p className="muted">It works once, until {until(invite)}, in browsers that reach {location.host}. Send it privately: whoever has it can join.</p>
        </div>
      </div>
      <footer><CopyButton text={link} label="Copy the link" kind="primary" /></footer>
    </Dialog>
  );
}

/** MachineInvite is an invite as a command to run. */
function MachineInvite({ invite, onClose }: { invite: InviteAnswer; onClose: () => void }) {
  const addrs = useStore((s) => s.status.value?.addrs) ?? [];
  const command = `inos join ${invite.text}`;
  return (
    <Dialog title="One machine may join with this" onClose={onClose} wide>
      <div className="invite">
        <QR text={invite.text} label="The invite as a QR code" />
        <div className="prose">
          {onlyLoopback(addrs) && <OnlyHere>Only this machine can use it. Start this node with <code>--host 0.0.0.0</code>, then invite again.</OnlyHere>}
          <p>On the new machine, run:</p>
          <pre className="secret" tabIndex={0}><code>{command}</code></pre>
          <p className="muted">It works once, until {until(invite)}. Send it privately: whoever has it can join.</p>
        </div>
      </div>
      <footer>
        <CopyButton text={invite.text} label="Copy the invite" />
        <CopyButton text={command} label="Copy the command" kind="primary" />
      </footer>
    </Dialog>
  );
}

const until = (i: InviteAnswer): string => new Date(i.expires * 1000).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

const lives: [number, string][] = [[3600, 'an hour'], [86_400, 'a day'], [7 * 86_400, 'a week']];

export function InviteDialog({ onClose }: { onClose: () => void }) {
  const [roles, setRoles] = useState('hub');
  const [ttl, setTTL] = useState(86_400);
  const [name, setName] = useState('');
  const [invite, setInvite] = useState<InviteAnswer>();
  const [error, setError] = useState('');
  const tabs = roles === 'tab';
  const make = (e: FormEvent): void => {
    e.preventDefault();
    setError('');
    post<InviteAnswer>('/v1/invites', { roles: tabs ? 'edge' : roles, ttl, name }).then(setInvite, (why: unknown) => setError(messageOf(why)));
  };
  if (invite) return tabs ? <TabInvite invite={invite} onClose={onClose} /> : <MachineInvite invite={invite} onClose={onClose} />;
  return (
    <Dialog title="Invite a machine" onClose={onClose}>
      <form className="form" onSubmit={make}>
        <label className="field">
          <span>It joins as</span>
          <select value={roles} onChange={(e) => setRoles(e.target.value)}>
            <option value="hub">a hub: keeps files and works</option>
            <option value="tab">a browser tab: uses and serves the mesh from a page</option>
            <option value="edge">an edge: uses the mesh, keeps nothing for others</option>
          </select>
        </label>
        <label className="field">
          <span>The invite lasts</span>
          <select value={ttl} onChange={(e) => setTTL(Number(e.target.value))}>
            {lives.map(([s, text]) => <option key={s} value={s}>{text}</option>)}
          </select>
        </label>
        <label className="field">
          <span>Name <em>optional</em></span>
          <input value={name} onChange={(e) => setName(e.target.value)} pattern="[a-z0-9-]{1,32}" placeholder="the machine chooses" autoComplete="off" spellCheck={false} />
          <small>a-z, 0-9 and -, at most 32</small>
        </label>
        {error && <Failure message={error} />}
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit">Make the invite</Button>
        </footer>
      </form>
    </Dialog>
  );
}
