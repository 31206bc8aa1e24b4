// The tab's node as the page's views hold it: one for the page.
import type { TabWay } from '../lib/api';
import { SensorPanel } from './drivers/panel';
import { handler } from './rest';
import { TabNode } from './tab';
import type { TabSettings, TabState } from './types';

export type { TabState } from './types';

const NAME = 'inos.tab.name';
const MEMBER = 'inos.tab.member';

/** nameOf is what this browser's tab is called in a mesh unless an invite says otherwise; it is kept. */
function nameOf(): string {
  const kept = localStorage.getItem(NAME);
  if (kept) return kept;
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
  const name = `tab-${[...crypto.getRandomValues(new Uint8Array(5))].map((b) => letters[b % letters.length]).join('')}`;
  localStorage.setItem(NAME, name);
  return name;
}

class Control {
  /** invite came with the page's address and waits to be used. */
  invite = '';
  readonly node = new TabNode({ name: nameOf() });
  readonly sensors = new SensorPanel(() => this.node.arena, (id, sensor, on) => this.node.sensor(id, sensor, on));

  constructor() {
    let arena = this.node.arena;
    this.node.subscribe((s) => {
      if (this.node.arena !== arena) { arena = this.node.arena; this.sensors.close(); } // their rings went with the kernel
      if (s.phase === 'running') localStorage.setItem(MEMBER, '1');
      if (s.phase === 'unjoined') localStorage.removeItem(MEMBER);
    });
  }

  /** member says that this browser's tab was in a mesh when it was last seen. */
  get member(): boolean { return localStorage.getItem(MEMBER) !== null; }

  get state(): TabState { return this.node.state; }

  subscribe = (fn: () => void): (() => void) => this.node.subscribe(fn);

  /** start starts the node, or uses that of another tab of this browser. */
  start(): void { this.node.start(); }

  async join(invite: string): Promise<void> {
    await this.node.join(invite);
    this.invite = '';
    await navigator.storage?.persist?.(); // else a browser short of room may delete the tab's store, its key included
  }

  leave(): Promise<TabState> { return this.node.leave(); }
  configure(s: TabSettings): Promise<void> { return this.node.configure(s); }
  exportSecret(): Promise<string> { return this.node.exportIdentity(); }
  importSecret(secret: string): Promise<TabState> { return this.node.importIdentity(secret); }

  /** way lets the page's views speak to this node. */
  readonly way: TabWay = {
    send: handler({
      call: (method, args, o = {}) => this.node.call(method, args, {
        ...(o.body ? { body: o.body } : {}), ...(o.onItem ? { item: o.onItem } : {}), ...(o.onBytes ? { output: o.onBytes } : {}), ...(o.signal ? { signal: o.signal } : {}),
      }),
    }),
    put: (request, body, report, signal) => this.node.put(body, { ...request, progress: report, signal }),
  };
}

/** tab is this page's. */
export const tab = new Control();

declare global {
  interface Window {
    /** For the console, and for scripts that measure: the tab's node. */
    inos?: { tab: TabNode };
  }
}
window.inos = { tab: tab.node };
