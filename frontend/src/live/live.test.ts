import { describe, expect, it } from 'vitest';
import { Message } from 'capnp-es';
import { Request } from '../../../protocols/gen/ts/module/v1/call.ts';
import { PerspectiveCamera, Vector3 } from 'three';
import { Rate, Series } from './figures.ts';
import { fit, type Margins } from './frame.ts';
import { startRequest } from './request.ts';

describe('the figures', () => {
  it('give the median of the last samples', () => {
    const s = new Series();
    expect(s.median()).toBeUndefined();
    for (let i = 0; i < 500; i++) s.add(i < 400 ? 1000 : i);
    expect(s.median()).toBeGreaterThanOrEqual(400);
    expect(s.median()).toBeLessThan(500);
  });

  it('count events a second, twice a second', () => {
    const r = new Rate();
    expect(r.value(1000)).toBeUndefined();
    r.add(30);
    expect(r.value(1400)).toBeUndefined();
    expect(r.value(1500)).toBe(60);
    expect(r.value(1600)).toBe(60);
    expect(r.value(2000)).toBe(0);
  });
});

it('starts a resident with a message that reads as it was meant', () => {
  const q = new Message(startRequest('flock', 'start', { agents: 8, seed: 7 }), false).getRoot(Request);
  expect([q.unit, q.method, new TextDecoder().decode(q.params.toUint8Array())]).toEqual(['flock', 'start', '{"agents":8,"seed":7}']);
});

describe('the box', () => {
  const margins: Margins = { top: 24, bottom: 48, side: 32 };
  const corners = [-0.5, 0.5].flatMap((x) => [-0.5, 0.5].flatMap((y) => [-0.5, 0.5].map((z) => new Vector3(x, y, z))));

  it.each([[900, 846], [390, 420], [1600, 500], [300, 900], [612, 504]])('is in sight as a whole at %i by %i, however it is turned', (width, height) => {
    for (const polar of [0.3, 1.27, 1.57, 2.8]) {
      const [left, top, right, bottom] = [[], [], [], []] as number[][];
      for (let azimuth = 0; azimuth < 6.28; azimuth += 0.05) {
        const camera = new PerspectiveCamera(42, 1, 0.05, 10);
        camera.position.setFromSphericalCoords(1.82, polar, azimuth);
        camera.lookAt(0, 0, 0);
        fit(camera, width, height, margins);
        camera.updateMatrixWorld();
        for (const c of corners) {
          const p = c.clone().project(camera);
          left!.push(((p.x + 1) / 2) * width);
          right!.push(((1 - p.x) / 2) * width);
          top!.push(((1 - p.y) / 2) * height);
          bottom!.push(((p.y + 1) / 2) * height);
        }
      }
      const free = { side: Math.min(...left!, ...right!), top: Math.min(...top!), bottom: Math.min(...bottom!) };
      expect(free.side).toBeGreaterThan(margins.side - 1);
      expect(free.top).toBeGreaterThan(margins.top - 1);
      expect(free.bottom).toBeGreaterThan(margins.bottom - 1);
      expect(free.side < margins.side + 4 || free.top + free.bottom < margins.top + margins.bottom + 4, 'as large as it can be').toBe(true);
    }
  });
});
