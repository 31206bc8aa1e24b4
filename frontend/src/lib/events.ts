// Events in words.
import { bytes, count, gas } from './format';
import type { NodeEvent } from './api';

type Data = Record<string, unknown>;

const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const number = (v: unknown): number => (typeof v === 'number' ? v : 0);

/** describe says what happened. An unknown type is shown as it is. edge says that the event is about a member that keeps
 * nothing for others, such as a browser tab: its going loses no copy. */
export function describe(e: NodeEvent, edge = false): string {
  const d = (e.data ?? {}) as Data;
  const key = e.type.replace(/:v\d+:/, ':');
  switch (key) {
    case 'node:start:ready': return 'the node started';
    case 'node:stop:done': return 'the node stopped';
    case 'mesh:join:done': return `${text(d.name) || 'a node'} joined the mesh`;
    case 'mesh:member:online': return 'came online';
    case 'mesh:member:offline': return 'went offline';
    case 'mesh:member:suspected': return edge ? 'went quiet' : 'does not answer';
    case 'mesh:member:gone': return edge ? 'left' : 'counts as lost; its copies are made elsewhere';
    case 'mesh:member:removed': return 'is no longer a member';
    case 'mesh:repair:done': {
      const under = number(d.under_replicated);
      const made = number(d.blocks);
      const looked = `looked at ${count(number(d.scanned), 'block')}`;
      if (made > 0) return `${looked}, made ${count(made, 'copy', 'copies')} again (${bytes(number(d.bytes))})${under ? `, ${under} still short` : ''}`;
      return under > 0 ? `${looked}, ${under} with too few copies` : `${looked}, all have their copies`;
    }
    case 'object:put:done': return `stored ${text(d.name) || 'an object'}: ${bytes(number(d.bytes))}, ${count(number(d.acks), 'receipt')}`;
    case 'module:supervise:healthy': return `runs the module ${text(d.name)}`.trim();
    case 'module:supervise:quarantined': return `put the module ${text(d.name)} in quarantine`;
    case 'module:resident:started': return `started the resident ${text(d.name)}`;
    case 'module:resident:stopped': return `stopped the resident ${text(d.name)}`;
    case 'module:resident:failed': return `the resident ${text(d.name)} failed`;
    case 'object:remove:done': return 'released an object';
    case 'job:run:done': return `finished ${text(d.method)}, ${gas(number(d.gas))}`;
    case 'job:run:failed': return `failed ${text(d.method)}${d.input ? ` of ${text(d.input)}` : ''}${d.reason ? `: ${text(d.reason)}` : ''}`;
    case 'job:run:stopped': return `stopped ${text(d.method)}`;
    case 'sensor:read:done': return `the module ${text(d.module)} read the sensor ${e.subject ?? ''}`;
    case 'module:add:done': return `added the module ${text(d.name)}`;
  }
  return e.type;
}
