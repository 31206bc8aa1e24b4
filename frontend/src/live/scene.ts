// The flock in three dimensions: one point an agent, placed, sized and turned on the GPU (points, because drawing in
// software takes ten times as long for instances of a triangle). Its attributes are the arrays that it is given, so where
// these are the arena's memory the only copy is the upload.
import {
  BoxGeometry, BufferAttribute, BufferGeometry, Color, DynamicDrawUsage, EdgesGeometry, GLSL3, LineBasicMaterial, LineSegments, PerspectiveCamera, Points,
  RawShaderMaterial, Scene, WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { fit, polarOf, type Margins } from './frame';

const vertex = `
precision highp float;
uniform mat4 modelViewMatrix, projectionMatrix;
uniform float size;
uniform vec3 near, far, fast;
in float ax, ay, az, au, av, aw;
out vec3 tint;
flat out vec2 ahead;
void main() {
  vec4 at = modelViewMatrix * vec4(ax - 0.5, ay - 0.5, az - 0.5, 1.0);
  vec3 way = mat3(modelViewMatrix) * vec3(au, av, aw);
  ahead = way.xy / (length(way.xy) + 1e-9);
  gl_Position = projectionMatrix * at;
  gl_PointSize = max(2.0, size / -at.z);
  float depth = clamp((-at.z - 0.9) / 1.3, 0.0, 1.0);
  float rising = av / (length(vec3(au, av, aw)) + 1e-9) * 0.5 + 0.5;
  tint = mix(mix(near, fast, rising), far, depth * 0.7);
}`;
/** A point becomes a dart: its nose ahead, its wings behind. */
const fragment = `
precision mediump float;
in vec3 tint;
flat in vec2 ahead;
out vec4 colour;
void main() {
  vec2 p = vec2(gl_PointCoord.x - 0.5, 0.5 - gl_PointCoord.y) * 2.0;
  float along = dot(p, ahead), across = abs(p.x * ahead.y - p.y * ahead.x);
  if (along < -0.75 || across > (1.0 - along) * 0.34) discard;
  colour = vec4(tint, 1.0);
}`;

/** What is kept free around the box: below it stands how to turn it. */
const roomy: Margins = { top: 24, bottom: 48, side: 32 };
const narrow: Margins = { top: 12, bottom: 36, side: 12 };

const names = ['ax', 'ay', 'az', 'au', 'av', 'aw'] as const;

/** Flight is one version of the flock: six arrays of a number per agent, behind one another. */
export type Flight = Float32Array;

export class FlockScene {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(42, 1, 0.05, 10);
  private readonly controls: OrbitControls;
  private readonly material: RawShaderMaterial;
  private readonly box: LineSegments<EdgesGeometry, LineBasicMaterial>;
  private readonly flock: Points<BufferGeometry, RawShaderMaterial>;
  private readonly resizing: ResizeObserver;
  private uploads = new Map<Flight, BufferAttribute[]>(); // two halves of shared memory, or one array of copies
  private moved = true;
  private polar = 0; // that the box is framed for
  private length = 0.02; // of an agent, in widths of the box

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new WebGLRenderer({ canvas, antialias: false, alpha: true });
    this.renderer.setPixelRatio(Math.min(1.5, devicePixelRatio));
    const colour = (): { value: Color } => ({ value: new Color() });
    this.material = new RawShaderMaterial({
      vertexShader: vertex, fragmentShader: fragment, glslVersion: GLSL3,
      uniforms: { size: { value: 0.008 }, near: colour(), far: colour(), fast: colour() },
    });
    this.flock = new Points(new BufferGeometry(), this.material);
    this.flock.frustumCulled = false;
    this.box = new LineSegments(new EdgesGeometry(new BoxGeometry(1, 1, 1)), new LineBasicMaterial());
    this.scene.add(this.flock, this.box);
    this.camera.position.set(0.9, 0.5, 1.5);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = this.controls.enableZoom = false;
    this.controls.autoRotateSpeed = 0.35;
    this.controls.addEventListener('change', () => { this.moved = true; });
    this.recolour();
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(canvas);
    this.resize();
  }

  /** turning has the picture turn by itself. */
  set turning(on: boolean) { this.controls.autoRotate = on; }

  /** turn moves the eye by steps, for the keyboard. */
  turn(across: number, up: number): void {
    const p = this.camera.position, r = p.length();
    const azimuth = Math.atan2(p.x, p.z) + across * 0.12;
    const polar = Math.min(2.8, Math.max(0.3, Math.acos(p.y / r) - up * 0.12));
    p.set(r * Math.sin(polar) * Math.sin(azimuth), r * Math.cos(polar), r * Math.sin(polar) * Math.cos(azimuth));
    this.camera.lookAt(0, 0, 0);
    this.moved = true;
  }

  /** recolour reads the page's colours. */
  readonly recolour = (): void => {
    const style = getComputedStyle(document.documentElement), read = (name: string): Color => new Color(style.getPropertyValue(name).trim());
    const u = this.material.uniforms as Record<string, { value: Color }>;
    u.near!.value = read('--accent').convertLinearToSRGB();
    u.fast!.value = read('--muted').convertLinearToSRGB();
    u.far!.value = read('--scene-line').convertLinearToSRGB();
    this.box.material.color = read('--scene-ring');
    this.moved = true;
  };

  private resize(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (w === 0 || h === 0) return;
    this.renderer.setSize(w, h, false);
    this.frame();
  }

  /** frame has the whole box in sight from where the eye is. */
  private frame(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (w === 0 || h === 0) return;
    this.polar = polarOf(this.camera);
    fit(this.camera, w, h, w < 560 ? narrow : roomy);
    this.scale();
    this.moved = true;
  }

  /** scale makes an agent's length in the box a number of pixels at distance 1. */
  private scale(): void {
    const pixels = this.renderer.domElement.height / (2 * Math.tan((this.camera.fov * Math.PI) / 360));
    (this.material.uniforms.size as { value: number }).value = this.length * pixels;
  }

  /** clear forgets the arrays of a flock that is gone. */
  clear(): void {
    this.flock.geometry.dispose();
    this.flock.geometry = new BufferGeometry();
    this.uploads.clear();
    this.moved = true;
  }

  /** show has an array drawn. The same array is uploaded again: it changed. */
  show(flight: Flight): void {
    const agents = flight.length / names.length;
    let set = this.uploads.get(flight);
    if (!set) {
      set = names.map((_, k) => new BufferAttribute(flight.subarray(k * agents, (k + 1) * agents), 1).setUsage(DynamicDrawUsage));
      this.uploads.set(flight, set);
    }
    names.forEach((name, k) => {
      set[k]!.needsUpdate = true;
      this.flock.geometry.setAttribute(name, set[k]!);
    });
    this.flock.geometry.setDrawRange(0, agents);
    this.length = agents > 30_000 ? 0.014 : agents > 5_000 ? 0.02 : 0.03;
    this.scale();
    this.moved = true;
  }

  /** replace has a copy drawn in place of the last one. */
  replace(copy: Flight): void {
    const set = this.uploads.values().next().value;
    if (!set || set[0]!.array.length * names.length !== copy.length) {
      this.clear();
      this.show(copy);
      return;
    }
    const agents = copy.length / names.length;
    set.forEach((a, k) => {
      a.array = copy.subarray(k * agents, (k + 1) * agents);
      a.needsUpdate = true;
    });
    this.moved = true;
  }

  /** draw draws when something has changed since the last time, and says whether it did. */
  draw(): boolean {
    this.controls.update();
    if (Math.abs(polarOf(this.camera) - this.polar) > 1e-3) this.frame();
    if (!this.moved) return false;
    this.moved = false;
    this.renderer.render(this.scene, this.camera);
    return true;
  }

  dispose(): void {
    this.resizing.disconnect();
    this.controls.dispose();
    this.flock.geometry.dispose();
    this.material.dispose();
    this.box.geometry.dispose();
    this.box.material.dispose();
    this.renderer.dispose();
  }
}
