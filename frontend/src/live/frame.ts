// How the flock's box is framed: as large as it can be with all of it in sight, however it is turned about its upright axis,
// so that turning does not change its size.
import { Vector3, type PerspectiveCamera } from 'three';

/** Margins are pixels kept free around the box. */
export interface Margins { top: number; bottom: number; side: number }

const up = new Vector3(0, 1, 0);
const corner = Math.SQRT1_2; // of the box's base, from its middle
const turns = 90;

/** reach is how far the corners get from the middle of the picture, as tangents, over a whole turn. */
function reach(polar: number, distance: number): { across: number; up: number; down: number } {
  let across = 0, up = -Infinity, down = Infinity;
  const [sin, cos] = [Math.sin(polar), Math.cos(polar)];
  for (let i = 0; i < turns; i++) {
    const near = corner * Math.cos((2 * Math.PI * i) / turns), aside = corner * Math.sin((2 * Math.PI * i) / turns);
    for (const y of [-0.5, 0.5]) {
      const depth = distance - near * sin - y * cos, height = (y * sin - near * cos) / depth;
      across = Math.max(across, Math.abs(aside / depth));
      up = Math.max(up, height);
      down = Math.min(down, height);
    }
  }
  return { across, up, down };
}

/** polarOf is a camera's angle from above, which is all of its place that the framing depends on. */
export const polarOf = (camera: PerspectiveCamera): number => camera.position.angleTo(up);

/** fit has a camera that looks at the middle of the unit box see all of it in a picture of a size in pixels. */
export function fit(camera: PerspectiveCamera, width: number, height: number, m: Margins): void {
  const r = reach(polarOf(camera), camera.position.length());
  const scale = Math.max(1, Math.min((width / 2 - m.side) / r.across, (height - m.top - m.bottom) / (r.up - r.down))); // pixels of a tangent of 1
  const lower = (m.top - m.bottom) / 2 + ((r.up + r.down) / 2) * scale;
  camera.fov = (360 / Math.PI) * Math.atan(height / (2 * scale));
  camera.setViewOffset(width, height, 0, -lower, width, height); // also the aspect and the projection
}
