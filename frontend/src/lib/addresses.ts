// Whom an address is for.

/** isLoopbackHost says that a name or an address is of this machine alone. */
export function isLoopbackHost(host: string): boolean {
  const h = host.toLowerCase().replace(/^\[|\]$/g, '');
  return h === 'localhost' || h.endsWith('.localhost') || h === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(h);
}

/** onlyLoopback says that all multiaddrs, of which there are some, are of this machine alone. */
export function onlyLoopback(multiaddrs: string[]): boolean {
  return multiaddrs.length > 0 && multiaddrs.every((a) => isLoopbackHost(a.split('/')[2] ?? ''));
}
