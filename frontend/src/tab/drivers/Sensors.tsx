// The sensors of this tab, each with its switch. Nothing is asked before somebody switches one on.
import { useEffect, useRef, useSyncExternalStore } from 'react';
import { Badge, Button } from '../../ui/parts';
import type { Reading, SensorPanel } from './panel.ts';
import { FRAME } from './sensors.ts';

export function Sensors({ panel }: { panel: SensorPanel }) {
  const readings = useSyncExternalStore(panel.subscribe, () => panel.all);
  return (
    <>
      <p className="muted">While one is on, modules that ask for sensors may read it in jobs on this tab; each reader shows up in the log. Switch it off at any moment.</p>
      <ul className="sensors">
        {readings.map((r) => <Row key={r.sensor.id} reading={r} panel={panel} />)}
      </ul>
    </>
  );
}

function Row({ reading: r, panel }: { reading: Reading; panel: SensorPanel }) {
  const here = r.sensor.here();
  const on = r.state === 'on' || r.state === 'asking';
  const label = `sensor-${r.sensor.id}`;
  return (
    <li>
      <div className="grow">
        <strong id={label}>{r.sensor.title}</strong> {r.state === 'on' && <Badge tone="accent">on</Badge>}
        <p className="muted">Gives {r.sensor.gives}.</p>
        <p role="status" className={r.state === 'failed' ? 'bad-text' : ''}>
          {!here ? 'This browser has none.' : r.state === 'asking' ? 'Waiting for your answer…' : r.state === 'failed' ? `${r.error}.` : r.state === 'on' && r.values.length ? r.sensor.tell(r.values) : r.state === 'on' ? 'Waiting for a first sample…' : ''}
        </p>
      </div>
      {r.frame && <Frame pixels={r.frame} />}
      <Button disabled={!here} label={`${on ? 'Switch off' : 'Switch on'}: ${r.sensor.title}`} onClick={() => (on ? panel.switchOff(r.sensor.id) : void panel.switchOn(r.sensor.id))}>
        {on ? 'Switch off' : 'Switch on'}
      </Button>
    </li>
  );
}

/** Frame shows what modules get to see. */
function Frame({ pixels }: { pixels: Uint8Array }) {
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = ref.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(FRAME.width, FRAME.height);
    pixels.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
    context.putImageData(image, 0, 0);
  }, [pixels]);
  return <canvas ref={ref} width={FRAME.width} height={FRAME.height} className="frame" role="img" aria-label="What the camera gives" />;
}
