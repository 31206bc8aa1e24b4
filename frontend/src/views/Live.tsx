// The live view: a flock that workers move in shared memory, drawn from where it lies, with what that costs.
import { useEffect, useId, useRef, useState } from 'react';
import { Button, Facts, Failure, Section, Tabs } from '../ui/parts';
import { canShare, Flock, type Way } from '../live/flock';
import { FlockScene } from '../live/scene';
import type { Figures } from '../live/figures';

const MOST_WORKERS = Math.min(8, navigator.hardwareConcurrency || 1);
const sizes = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000];
const none: Figures = { frames: undefined, frameMS: undefined, stepMS: undefined, steps: undefined, signalUS: undefined, copied: 0 };

const number = (v: number | undefined, digits: number, unit: string): string => (v === undefined ? '–' : `${v.toFixed(digits)} ${unit}`);
const micro = (v: number | undefined): string => (v === undefined ? '–' : v < 1000 ? `${Math.round(v)} µs` : `${(v / 1000).toFixed(1)} ms`);

function rows(f: Figures): [string, string][] {
  return [
    ['Frames', number(f.frames, 0, 'a second')],
    ['Page, each frame', number(f.frameMS, 1, 'ms')],
    ['Step', number(f.stepMS, 1, 'ms')],
    ['Steps', number(f.steps, 0, 'a second')],
    ['Signal to the page', micro(f.signalUS)],
    ['Copied', f.copied < 1 ? 'nothing' : `${(f.copied / 1e6).toFixed(0)} MB a second`],
  ];
}

export function Live() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const flock = useRef<Flock>(undefined);
  const scene = useRef<FlockScene>(undefined);
  const [still] = useState(() => matchMedia('(prefers-reduced-motion: reduce)').matches);
  const [paused, setPaused] = useState(still);
  const [way, setWay] = useState<Way>(canShare() ? 'shared' : 'copies');
  const [size, setSize] = useState(3);
  const [workers, setWorkers] = useState(Math.min(2, MOST_WORKERS));
  const [figures, setFigures] = useState(none);
  const [error, setError] = useState('');
  const [round, setRound] = useState(0);
  const [slider, hint] = [useId(), useId()];
  const agents = sizes[size] ?? 10_000;

  useEffect(() => {
    if (!canvas.current) return;
    let s: FlockScene;
    try {
      s = new FlockScene(canvas.current);
    } catch {
      setError('This browser draws no WebGL, which the flock is drawn with. Allow hardware acceleration, or open the page in another browser.');
      return;
    }
    const f = new Flock(s, setError);
    s.turning = !still;
    [scene.current, flock.current] = [s, f];
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', s.recolour);
    window.addEventListener('inos-theme', s.recolour);
    const tick = setInterval(() => setFigures(f.figures()), 500);
    return () => {
      clearInterval(tick);
      dark.removeEventListener('change', s.recolour);
      window.removeEventListener('inos-theme', s.recolour);
      f.end();
      s.dispose();
      [scene.current, flock.current] = [undefined, undefined];
    };
  }, [still]);

  useEffect(() => {
    const timer = setTimeout(() => {
      setError('');
      flock.current?.start(agents, workers).catch((e: unknown) => setError(e instanceof Error ? e.message : String(e)));
    }, 150); // a slider that is dragged passes many sizes
    return () => clearTimeout(timer);
  }, [agents, workers, round]);
  useEffect(() => void flock.current?.use(way), [way]);
  useEffect(() => {
    void flock.current?.pause(paused);
    if (scene.current) scene.current.turning = !paused && !still;
  }, [paused, still]);

  const onKey = (e: React.KeyboardEvent): void => {
    const turn = ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] } as Record<string, [number, number]>)[e.key];
    if (!turn) return;
    e.preventDefault();
    scene.current?.turn(...turn);
  };
  return (
    <div className="live">
      <div className="live-stage">
        <canvas
          ref={canvas} tabIndex={0} role="img" onKeyDown={onKey} aria-describedby={hint}
          aria-label={`A flock of ${agents.toLocaleString('en')} agents in a box, ${paused ? 'at rest' : 'flying'}`}
        />
        <p id={hint} className="legend muted">A flock of this page&apos;s own. Drag, or use the arrow keys, to turn the box.</p>
      </div>
      <aside className="panel live-panel" aria-label="The flock">
        {error && <Failure message={error} retry={() => setRound(round + 1)} />}
        <div className="live-controls">
          <Button kind="primary" icon={paused ? 'play' : 'pause'} onClick={() => setPaused(!paused)}>{paused ? 'Fly' : 'Pause'}</Button>
          {still && paused && <p className="muted">Your system asks for less motion, so the flock waits for you.</p>}
          <label htmlFor={slider}><span>Agents</span> <output>{agents.toLocaleString('en')}</output></label>
          <input id={slider} type="range" min={0} max={sizes.length - 1} step={1} value={size} aria-valuetext={`${agents.toLocaleString('en')} agents`} onChange={(e) => setSize(Number(e.target.value))} />
          <label className="inline-field">
            <span>Workers</span>
            <select value={canShare() ? workers : 1} disabled={!canShare()} onChange={(e) => setWorkers(Number(e.target.value))}>
              {Array.from({ length: MOST_WORKERS }, (_, i) => <option key={i} value={i + 1}>{i + 1}</option>)}
            </select>
          </label>
        </div>
        <Section title="From the workers to the screen">
          {canShare()
            ? <Tabs value={way} options={[['shared', 'Shared memory'], ['copies', 'Messages']]} onChange={setWay} label="Way to the screen" />
            : <p className="note">This page is not cross-origin isolated, so its threads share no memory: one worker sends copies. Serve it over HTTPS with the headers COOP and COEP to see the difference.</p>}
          <p className="muted live-what">
            {way === 'shared'
              ? 'The workers fill one half of a state in the arena while the page draws from the other, where it lies.'
              : 'After each step a worker copies the state and posts it to the page, as pages without shared memory do.'}
          </p>
        </Section>
        <Section title="Measured now">
          <Facts rows={rows(paused ? { ...none } : figures)} />
        </Section>
      </aside>
    </div>
  );
}
