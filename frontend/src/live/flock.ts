// The flock behind the live view: it starts the module boids, draws what it shows, and measures both. Two ways lead from
// the workers to the screen: the arena, which the page draws from where it lies, and copies in messages.
import boids from 'builtin:boids';
import { shared } from '../bridge/memory.ts';
import { Resident, type Copy } from '../tab/resident.ts';
import { Rate, Series, type Figures } from './figures.ts';
import { startRequest } from './request.ts';
import type { FlockScene } from './scene.ts';

/** Way is how a step's outcome reaches the page. */
export type Way = 'shared' | 'copies';

/** RATE is the most steps a second: more than a screen shows is work for nobody. */
export const RATE = 60;

let compiled: Promise<WebAssembly.Module> | undefined;
const compile = (): Promise<WebAssembly.Module> => (compiled ??= WebAssembly.compileStreaming(fetch(boids)).catch((e: unknown) => { compiled = undefined; throw e; }));

/** canShare says whether the page may draw from shared memory. */
export const canShare = shared;

export class Flock {
  private resident: Resident | undefined;
  private generation = 0; // of start and end: what an older one still waits for is dropped
  private way: Way = canShare() ? 'shared' : 'copies';
  private paused = false;
  private seen = 0;
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastSteps = 0;
  private readonly framing = new Rate();
  private readonly stepping = new Rate();
  private readonly copying = new Rate();
  private readonly drawMS = new Series();
  private readonly stepMS = new Series();
  private readonly signalUS = new Series();

  /** torn is how many frames were drawn from a half that was being filled again. It stays 0. */
  torn = 0;

  constructor(private readonly scene: FlockScene, private readonly onFailure: (text: string) => void) {
    this.frame = requestAnimationFrame(this.onFrame);
  }

  /** start begins anew with so many agents and workers. */
  async start(agents: number, workers: number): Promise<void> {
    this.stop();
    const mine = ++this.generation;
    const module = await compile();
    if (mine !== this.generation) return;
    const r = await Resident.start({
      module, workers, request: startRequest('flock', 'start', { agents, seed: 7 }),
      onFailure: (text) => { if (mine === this.generation) this.onFailure(text); },
    });
    if (mine !== this.generation) { r.end(); return; }
    this.resident = r;
    this.seen = 0;
    this.scene.clear();
    void this.listen(r);
    this.go();
  }

  private stop(): void {
    this.generation++;
    this.resident?.end();
    this.resident = undefined;
    this.reset();
  }

  private reset(): void {
    for (const s of [this.drawMS, this.stepMS, this.signalUS, this.framing, this.stepping, this.copying]) s.clear();
    this.lastSteps = this.resident?.team.steps() ?? 0;
  }

  /** use changes the way to the screen. */
  async use(way: Way): Promise<void> {
    if (way === this.way) return;
    this.way = way;
    await this.resident?.rest();
    this.scene.clear();
    this.seen = 0;
    this.reset();
    this.go();
  }

  /** pause and go on. */
  async pause(paused: boolean): Promise<void> {
    this.paused = paused;
    if (paused) await this.resident?.rest();
    else this.go();
  }

  private go(): void {
    const r = this.resident;
    if (!r || this.paused) return;
    if (this.way === 'shared' && r.reader) r.run(RATE);
    else this.nextCopy(r, performance.now());
  }

  private nextCopy(r: Resident, began: number): void {
    r.step((c) => {
      this.take(c);
      const wait = 1000 / RATE - (performance.now() - began);
      clearTimeout(this.timer); // going on twice leaves one chain
      this.timer = setTimeout(() => { if (r === this.resident && this.way === 'copies' && !this.paused) this.nextCopy(r, performance.now()); }, Math.max(0, wait));
    });
  }

  private take(c: Copy): void {
    this.signalUS.add((performance.timeOrigin + performance.now() - c.sent) * 1000);
    this.stepMS.add(c.ms);
    this.stepping.add();
    this.copying.add(2 * c.numbers.byteLength); // out of the memory, and into the page's
    this.scene.replace(c.numbers);
  }

  /** listen notices each publication, which is what the signal's figure measures. */
  private async listen(r: Resident): Promise<void> {
    for (let v = r.reader?.version() ?? 0; r.reader && r === this.resident;) {
      v = await r.reader.changed(v);
      if (this.way !== 'shared' || r !== this.resident) continue;
      this.signalUS.add(r.team.age());
      this.stepMS.add(r.team.lastStep());
    }
  }

  private readonly onFrame = (): void => {
    this.frame = requestAnimationFrame(this.onFrame);
    const began = performance.now(), reader = this.resident?.reader;
    let version = this.seen;
    if (this.way === 'shared' && reader) {
      version = reader.version();
      if (version !== this.seen) this.scene.show(reader.halves[version & 1]!);
      const steps = this.resident!.team.steps();
      this.stepping.add((steps - this.lastSteps) >>> 0);
      this.lastSteps = steps;
    }
    if (!this.scene.draw()) return;
    if (version !== this.seen && reader && !reader.whole(version)) this.torn++;
    this.seen = version;
    this.framing.add();
    this.drawMS.add(performance.now() - began);
  };

  /** figures is what was measured lately. */
  figures(): Figures {
    const now = performance.now();
    return {
      frames: this.framing.value(now), frameMS: this.drawMS.median(), stepMS: this.stepMS.median(), steps: this.stepping.value(now),
      signalUS: this.signalUS.median(), copied: this.way === 'copies' ? this.copying.value(now) ?? 0 : 0,
    };
  }

  /** workers is how many there are: one without shared memory. */
  workers(): number { return this.resident?.workers ?? 0; }

  end(): void {
    cancelAnimationFrame(this.frame);
    this.stop();
  }
}
