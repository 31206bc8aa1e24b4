// The picture's place on the page: the canvas, and names as text over it.
import { useEffect, useRef, useState } from 'react';
import type { Dweller, Label, MeshScene } from './scene';

function put(el: HTMLElement | undefined, at: Label): void {
  if (el) el.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px) translateX(-50%)`;
}

export function Picture({ nodes, chosen, onChoose, note }: { nodes: Dweller[]; chosen: string; onChoose: (id: string) => void; note: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scene = useRef<MeshScene | null>(null);
  const names = useRef(new Map<string, HTMLElement>());
  const rings = useRef(new Map<string, HTMLElement>());
  const choose = useRef(onChoose);
  const [state, setState] = useState<'loading' | 'ready' | 'none'>('loading');
  choose.current = onChoose;
  useEffect(() => {
    let gone = false;
    void import('./scene').then(({ MeshScene: Made }) => {
      if (gone || !canvas.current) return;
      try {
        scene.current = new Made(
          canvas.current,
          (labels, marks) => {
            for (const l of labels) put(names.current.get(l.id), l);
            for (const m of marks) put(rings.current.get(m.id), m);
          },
          (id) => choose.current(id),
        );
        setState('ready');
      } catch {
        setState('none'); // no WebGL: the list beside the picture says the same
      }
    });
    return () => {
      gone = true;
      scene.current?.dispose();
      scene.current = null;
    };
  }, []);
  useEffect(() => scene.current?.show(nodes, chosen), [nodes, chosen, state]);
  const keep = (map: typeof names, id: string) => (el: HTMLElement | null) => {
    if (el) map.current.set(id, el);
    else map.current.delete(id);
  };
  return (
    <div className="mesh-picture" data-state={state}>
      <canvas ref={canvas} role="img" aria-label={`Picture of the mesh. ${note}`} />
      {state === 'none' && <p className="mesh-picture-none muted">This browser draws no 3D; the list says the same.</p>}
      <div className="labels" aria-hidden="true">
        {['1', '10', '100'].map((ms) => <span key={ms} ref={keep(rings, ms)} className="ring-label">{ms} ms</span>)}
        {nodes.map((n) => (
          <span key={n.id} ref={keep(names, n.id)} className={`node-label ${n.online ? '' : 'offline'} ${n.id === chosen ? 'chosen' : ''}`}>
            {n.name}
            {!n.self && n.online && n.latency > 0 && <small>{n.latency < 10 ? n.latency.toFixed(1) : Math.round(n.latency)} ms</small>}
            {!n.online && <small>offline</small>}
          </span>
        ))}
      </div>
    </div>
  );
}
