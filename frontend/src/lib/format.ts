// Numbers with units, for people.

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** bytes renders a size with a binary unit: three digits are enough. */
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < binary.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(n >= 10 ? 1 : 2).replace(/\.?0+$/, '')} ${binary[unit]}`;
}

/** rate is bytes a second. */
export function rate(n: number): string {
  return n < 1 ? 'idle' : `${bytes(n)}/s`;
}

/** credits renders microcredits. Small amounts keep their digits. */
export function credits(micro: number, digits = 2): string {
  const whole = micro / 1e6;
  const small = whole !== 0 && Math.abs(whole) < 1;
  return whole.toLocaleString('en', { minimumFractionDigits: small ? 0 : digits, maximumFractionDigits: small ? 6 : digits });
}

/** exact renders microcredits to the last one. */
export function exact(micro: number): string {
  return (micro / 1e6).toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 6 });
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

export function duration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.round((s % 86_400) / 3600)} h`;
}

/** ago is a time in the past, in words. */
export function ago(then: number, now = Date.now()): string {
  if (!then) return 'never';
  const s = Math.max(0, (now - then) / 1000);
  if (s < 5) return 'just now';
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
  return new Date(then).toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' });
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB');
}

export function gas(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} Ggas`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} Mgas`;
  return `${n.toLocaleString('en')} gas`;
}

/** short is the recognisable end of a long id. */
export function short(id: string): string {
  const tail = id.replace(/^did:key:/, '');
  return tail.length > 14 ? `${tail.slice(0, 6)}…${tail.slice(-5)}` : tail;
}
