// The first visit explains itself in one screen, with this mesh's own figures.
import { bytes, count, credits } from '../lib/format';
import { useStore } from '../lib/store';
import { Icon, type IconName } from '../ui/Icon';
import { Button, Dialog } from '../ui/parts';

export function Welcome({ onClose }: { onClose: () => void }) {
  const status = useStore((s) => s.status.value);
  const objects = useStore((s) => s.objects.value);
  const modules = useStore((s) => s.modules.value);
  const stored = (objects ?? []).reduce((a, o) => a + o.bytes, 0);
  const methods = (modules ?? []).reduce((a, m) => a + (m.units ?? []).reduce((b, u) => b + (u.methods?.length ?? 0), 0), 0);
  const points: [IconName, string, string, string][] = [
    ['mesh', 'Your machines, one computer', 'Nodes find each other, and let in only whom you invite.', status ? `${count(status.peers_known + 1, 'node')} here, ${status.peers_online + 1} online` : ''],
    ['files', 'Files outlive any of them', 'Drop a folder: it is sealed, kept by three nodes, and made again when one is lost.', objects ? `${count(objects.length, 'object')}, ${bytes(stored)}` : ''],
    ['work', 'Work goes to the data', 'Run sandboxed WebAssembly on your files, wherever they are. See the price first.', modules ? `${count(methods, 'method')} ready to run` : ''],
    ['credits', 'Every byte is accounted for', 'Keeping, sending and computing move credits between nodes. The books always add up.', status && !status.balance_error ? `${credits(status.balance)} credits on this node` : ''],
  ];
  return (
    <Dialog title="One computer, made of the machines you have" onClose={onClose} wide>
      <ul className="welcome">
        {points.map(([icon, title, text, figure]) => (
          <li key={title}>
            <span className="welcome-icon"><Icon name={icon} /></span>
            <div>
              <h3>{title}</h3>
              <p>{text}</p>
              <p className="figure">{figure || ' '}</p>
            </div>
          </li>
        ))}
      </ul>
      <footer><Button kind="primary" onClick={onClose} autoFocus>Look around</Button></footer>
    </Dialog>
  );
}
