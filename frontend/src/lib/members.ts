// Who counts as the mesh: keepers always, tabs and other edges while they are here.
import type { Peer } from './api';

/** isEdge says that a member keeps nothing for others. */
export const isEdge = (p: Peer): boolean => p.roles === 'edge';

/** present leaves out revoked members and edges that are away: a closed tab is no loss. */
export const present = (p: Peer): boolean => !p.revoked && (p.self || p.online || !isEdge(p));

/** roomFor is the free space for files on the members that are online: an edge keeps none. */
export function roomFor(peers: Peer[]): number {
  return peers.filter((p) => (p.online || p.self) && !isEdge(p)).reduce((sum, p) => sum + p.free, 0);
}
