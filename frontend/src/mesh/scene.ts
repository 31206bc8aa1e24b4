// The mesh in three dimensions. It draws when something changed or moves, and
// rests otherwise.
import {
  AmbientLight, BufferAttribute, BufferGeometry, CircleGeometry, Color, DirectionalLight, Group, Line, LineBasicMaterial, LineDashedMaterial,
  LineLoop, Material, Mesh, MeshBasicMaterial, MeshStandardMaterial, PerspectiveCamera, Raycaster, RingGeometry, Scene, SphereGeometry, TorusGeometry,
  Vector2, Vector3, WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { flow, place, radius, ringsMS, size } from './layout';

/** Dweller is one node as the picture needs it. */
export interface Dweller {
  id: string;
  name: string;
  self: boolean;
  online: boolean;
  seed: boolean;
  relayed: boolean;
  connected: boolean;
  latency: number;
  used: number;
  in: number; // bytes a second from it
  out: number;
  share: number; // of the chosen object, 0 to 1; negative when none is chosen
}

/** Label is where a node's name belongs on the screen. */
export interface Label {
  id: string;
  x: number;
  y: number;
}

interface Body {
  group: Group;
  ball: Mesh<SphereGeometry, MeshStandardMaterial>;
  halo: Mesh<RingGeometry, MeshBasicMaterial>;
  crown: Mesh<TorusGeometry, MeshBasicMaterial>;
  link: Line;
  dots: Mesh[];
  at: Vector3;
  goal: Vector3;
  fade: number; // 1 online, 0 gone
  data: Dweller;
}

interface Palette {
  node: Color; accent: Color; gone: Color; line: Color; ring: Color; warn: Color;
}

const dotSpeed = 0.55; // of a link, in a second
const maxBodies = 500;

export class MeshScene {
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(38, 1, 0.1, 100);
  private readonly renderer: WebGLRenderer;
  private readonly controls: OrbitControls;
  private readonly bodies = new Map<string, Body>();
  private readonly rings: LineLoop[] = [];
  private readonly ball = new SphereGeometry(1, 40, 24);
  private readonly dot = new SphereGeometry(0.06, 10, 8);
  private palette: Palette;
  private frame = 0;
  private last = 0;
  private chosen = '';
  private reach = 4; // how far out the picture goes
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)');
  private readonly resizing: ResizeObserver;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onLabels: (labels: Label[], rings: Label[]) => void,
    private readonly onPick: (id: string) => void,
  ) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    this.palette = this.readPalette();
    this.scene.add(new AmbientLight(0xffffff, 1.7));
    const sun = new DirectionalLight(0xffffff, 1.6);
    sun.position.set(4, 9, 6);
    this.scene.add(sun);
    for (const ms of ringsMS) this.addRing(ms);
    this.camera.position.set(0, 11.5, 9.5);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.enableZoom = false; // the wheel scrolls the page
    this.controls.minPolarAngle = 0.15;
    this.controls.maxPolarAngle = 1.25;
    this.controls.addEventListener('change', this.wake);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(canvas.parentElement ?? canvas);
    canvas.addEventListener('click', this.pick);
    window.addEventListener('inos-theme', this.recolour);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', this.recolour);
    this.resize();
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.resizing.disconnect();
    this.controls.dispose();
    window.removeEventListener('inos-theme', this.recolour);
    matchMedia('(prefers-color-scheme: dark)').removeEventListener('change', this.recolour);
    this.scene.traverse((o) => {
      if (o instanceof Mesh || o instanceof Line) {
        o.geometry.dispose();
        (o.material as Material).dispose();
      }
    });
    this.renderer.dispose();
  }

  /** show replaces what is known of the nodes. */
  show(nodes: Dweller[], chosen: string): void {
    const others = nodes.filter((n) => !n.self).slice(0, maxBodies);
    this.chosen = chosen;
    const seen = new Set<string>();
    for (const n of nodes.slice(0, maxBodies)) {
      seen.add(n.id);
      const body = this.bodies.get(n.id) ?? this.addBody(n);
      body.data = n;
      const p = n.self ? { x: 0, z: 0 } : place(others.indexOf(n), others.length, n.latency);
      body.goal.set(p.x, 0, p.z);
    }
    for (const [id, body] of this.bodies) {
      if (seen.has(id)) continue;
      this.scene.remove(body.group, body.link, ...body.dots);
      this.bodies.delete(id);
    }
    this.fit(Math.max(...nodes.map((n) => (n.self ? 0 : n.latency)), 0));
    this.wake();
  }

  /** fit shows as many rings as the farthest node needs. */
  private fit(latency: number): void {
    const outer = ringsMS.findIndex((ms) => ms >= latency);
    const last = Math.max(1, outer < 0 ? ringsMS.length - 1 : outer);
    this.rings.forEach((r, i) => (r.visible = i <= last));
    const reach = Math.max(radius(ringsMS[last] ?? 1), radius(latency));
    if (reach !== this.reach) {
      this.reach = reach;
      this.resize();
    }
  }

  private readonly wake = (): void => {
    if (this.frame === 0) this.frame = requestAnimationFrame(this.tick);
  };

  private readonly recolour = (): void => {
    this.palette = this.readPalette();
    for (const r of this.rings) (r.material as LineBasicMaterial).color.copy(this.palette.ring);
    this.wake();
  };

  private readPalette(): Palette {
    const css = getComputedStyle(document.documentElement);
    const get = (name: string): Color => new Color(css.getPropertyValue(name).trim());
    return { node: get('--scene-node'), accent: get('--accent'), gone: get('--scene-gone'), line: get('--scene-line'), ring: get('--scene-ring'), warn: get('--bad') };
  }

  private addRing(ms: number): void {
    const points = new CircleGeometry(radius(ms), 96).getAttribute('position').array.slice(3);
    const g = new BufferGeometry();
    g.setAttribute('position', new BufferAttribute(points, 3));
    const ring = new LineLoop(g, new LineBasicMaterial({ color: this.palette.ring }));
    ring.rotation.x = -Math.PI / 2;
    ring.position.y = -0.02;
    this.rings.push(ring);
    this.scene.add(ring);
  }

  private addBody(n: Dweller): Body {
    const group = new Group();
    const ball = new Mesh(this.ball, new MeshStandardMaterial({ roughness: 0.55, metalness: 0.05, transparent: true }));
    ball.userData.id = n.id;
    const halo = new Mesh(new RingGeometry(1.35, 1.55, 64), new MeshBasicMaterial({ transparent: true }));
    halo.rotation.x = -Math.PI / 2;
    const crown = new Mesh(new TorusGeometry(1.28, 0.05, 8, 64), new MeshBasicMaterial({ transparent: true }));
    crown.rotation.x = Math.PI / 2;
    group.add(ball, halo, crown);
    const g = new BufferGeometry();
    g.setAttribute('position', new BufferAttribute(new Float32Array(6), 3));
    const material = n.relayed ? new LineDashedMaterial({ dashSize: 0.18, gapSize: 0.12, transparent: true }) : new LineBasicMaterial({ transparent: true });
    const link = new Line(g, material);
    const body: Body = { group, ball, halo, crown, link, dots: [], at: new Vector3(), goal: new Vector3(), fade: n.online ? 1 : 0, data: n };
    const p = n.self ? { x: 0, z: 0 } : place(this.bodies.size, this.bodies.size + 1, n.latency || 1);
    body.at.set(p.x, 0, p.z);
    this.bodies.set(n.id, body);
    this.scene.add(group, link);
    return body;
  }

  private resize(): void {
    const box = (this.canvas.parentElement ?? this.canvas).getBoundingClientRect();
    if (box.width === 0 || box.height === 0) return;
    this.renderer.setSize(box.width, box.height, false);
    this.camera.aspect = box.width / box.height;
    const portrait = Math.max(1, 1.25 / this.camera.aspect);
    this.camera.position.setLength((2.6 + this.reach * 2.1) * portrait);
    this.camera.updateProjectionMatrix();
    this.wake();
  }

  private readonly tick = (now: number): void => {
    this.frame = 0;
    const dt = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    let moving = false;
    for (const b of this.bodies.values()) moving = this.step(b, dt, now) || moving;
    this.camera.lookAt(0, 0, 0);
    this.renderer.render(this.scene, this.camera);
    this.tellLabels();
    if (moving && document.visibilityState === 'visible') this.wake();
  };

  /** step moves one body and says whether it is still moving. */
  private step(b: Body, dt: number, now: number): boolean {
    const ease = this.still.matches ? 1 : Math.min(1, dt * 5);
    b.at.lerp(b.goal, ease);
    const want = b.data.online ? 1 : 0;
    b.fade += (want - b.fade) * ease;
    const settled = b.at.distanceTo(b.goal) < 0.005 && Math.abs(want - b.fade) < 0.01;
    this.paint(b);
    return this.stepDots(b, now) || !settled;
  }

  private paint(b: Body): void {
    const { palette: c } = this;
    const n = b.data;
    const r = size(n.used);
    b.group.position.copy(b.at);
    b.group.scale.setScalar(r);
    const holds = n.share > 0;
    const base = n.share < 0 ? (n.self ? c.accent : c.node) : holds ? c.accent : c.gone;
    b.ball.material.color.copy(c.gone).lerp(base, b.fade);
    b.ball.material.opacity = 0.35 + 0.65 * b.fade;
    b.halo.visible = this.chosen === n.id || (holds && !n.online);
    b.halo.material.color.copy(n.online ? c.accent : c.warn);
    b.crown.visible = n.seed;
    b.crown.material.color.copy(c.gone).lerp(base, b.fade);
    const line = b.link.material as LineBasicMaterial;
    b.link.visible = !n.self && b.fade > 0.02;
    line.color.copy(c.line);
    line.opacity = b.fade * (n.connected ? 1 : 0.35);
    const at = b.link.geometry.getAttribute('position') as BufferAttribute;
    at.setXYZ(0, 0, 0, 0);
    at.setXYZ(1, b.at.x, 0, b.at.z);
    at.needsUpdate = true;
    b.link.computeLineDistances();
  }

  /** stepDots lets dots travel as bytes do: out from the middle, in towards it. */
  private stepDots(b: Body, now: number): boolean {
    const out = b.data.online ? flow(b.data.out) : 0;
    const total = out + (b.data.online ? flow(b.data.in) : 0);
    while (b.dots.length < total) {
      const d = new Mesh(this.dot, new MeshBasicMaterial({ color: this.palette.accent }));
      b.dots.push(d);
      this.scene.add(d);
    }
    b.dots.forEach((d, i) => {
      d.visible = i < total;
      if (!d.visible) return;
      (d.material as MeshBasicMaterial).color.copy(this.palette.accent);
      const inward = i >= out;
      const step = (this.still.matches ? 0 : (now / 1000) * dotSpeed) + (inward ? (i - out) / (total - out) : i / out);
      const t = inward ? 1 - (step % 1) : step % 1;
      d.position.set(b.at.x * t, inward ? 0.09 : -0.02, b.at.z * t);
    });
    return total > 0 && !this.still.matches;
  }

  private tellLabels(): void {
    const box = this.canvas.getBoundingClientRect();
    const onScreen = (v: Vector3): { x: number; y: number } => {
      const p = v.clone().project(this.camera);
      return { x: ((p.x + 1) / 2) * box.width, y: ((1 - p.y) / 2) * box.height };
    };
    const labels = [...this.bodies.values()].map((b) => {
      const below = new Vector3(b.at.x, 0, b.at.z + size(b.data.used) * (b.data.seed ? 1.35 : 1.1));
      const p = onScreen(below);
      return { id: b.data.id, x: p.x, y: p.y + 8 };
    });
    const rings = ringsMS.map((ms, i) => ({ id: String(ms), ...(this.rings[i]?.visible ? onScreen(new Vector3(0, 0, -radius(ms))) : { x: -999, y: 0 }) }));
    this.onLabels(labels, rings);
  }

  private readonly pick = (e: MouseEvent): void => {
    const box = this.canvas.getBoundingClientRect();
    const at = new Vector2(((e.clientX - box.left) / box.width) * 2 - 1, 1 - ((e.clientY - box.top) / box.height) * 2);
    const ray = new Raycaster();
    ray.setFromCamera(at, this.camera);
    const hit = ray.intersectObjects([...this.bodies.values()].map((b) => b.ball))[0];
    this.onPick((hit?.object.userData.id as string | undefined) ?? '');
  };
}
