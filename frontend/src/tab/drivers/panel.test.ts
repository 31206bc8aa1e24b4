import { beforeAll, expect, it } from 'vitest';
import { SensorPanel } from './panel.ts';
import { sensors, type Emit } from './sensors.ts';

beforeAll(() => { globalThis.requestAnimationFrame ??= ((fn: FrameRequestCallback) => setTimeout(() => fn(0), 0)) as unknown as typeof requestAnimationFrame; });

/** Fake stands in for the first sensor: its starts are answered by the test. */
function fake(): { panel: SensorPanel; id: string; starts: { ok: () => void; emit: Emit; ended: () => void }[]; running: () => number; switched: boolean[] } {
  const s = sensors[0]!, starts: { ok: () => void; emit: Emit; ended: () => void }[] = [], switched: boolean[] = [];
  let running = 0;
  s.start = (emit, ended) => new Promise((ok) => starts.push({ emit, ended, ok: () => { running++; ok(() => { running--; }); } }));
  return { panel: new SensorPanel(() => undefined, (_, __, on) => switched.push(on)), id: s.id, starts, running: () => running, switched };
}

const turns = async (): Promise<void> => { for (let i = 0; i < 5; i++) await Promise.resolve(); };

it('leaves nothing on that was taken back while the browser asked', async () => {
  const f = fake();
  void f.panel.switchOn(f.id);
  f.panel.switchOff(f.id);
  void f.panel.switchOn(f.id);
  f.starts[0]?.ok();
  f.starts[1]?.ok();
  await turns();
  expect(f.running()).toBe(1);
  f.starts[0]?.emit([1]);
  expect(f.panel.all[0]?.samples).toBe(0); // the first one's samples are nobody's
  f.starts[1]?.emit([2]);
  expect(f.panel.all[0]?.samples).toBe(1);
  f.panel.switchOff(f.id);
  expect(f.running()).toBe(0);
  expect(f.panel.all[0]?.state).toBe('off');
  expect(f.switched).toEqual([true, false]);
});

it('switches off what is still asking when it closes, and what the browser takes away', async () => {
  const f = fake();
  void f.panel.switchOn(f.id);
  f.panel.close();
  f.starts[0]?.ok();
  await turns();
  expect(f.running()).toBe(0);
  expect(f.panel.all[0]?.state).toBe('off');
  void f.panel.switchOn(f.id);
  f.starts[1]?.ok();
  await turns();
  f.starts[1]?.ended();
  expect(f.running()).toBe(0);
  expect(f.panel.all[0]?.state).toBe('off');
});
