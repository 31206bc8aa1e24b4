import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLoopbackHost, onlyLoopback } from './addresses';
import type { Entry, LogLine, NodeEvent, Peer } from './api';
import { describe as inWords } from './events';
import { bytes, credits, duration, gas, rate, short } from './format';
import { buckets, byCause, moves } from './ledger';
import { matching, plain, rows } from './log';
import { roomFor } from './members';
import { groups, parseMetrics, title } from './metrics';
import { csv, delimiterOf, parseTable } from './table';
import { record, tar } from './tar';

describe('format', () => {
  it('gives three digits and a unit', () => {
    expect([0, 1, 1023, 1024, 1536, 10_300, 1048576, 5.5 * 2 ** 30].map(bytes)).toEqual(['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '10.1 KiB', '1 MiB', '5.5 GiB']);
    expect([0, 0.4, 2048].map(rate)).toEqual(['idle', 'idle', '2 KiB/s']);
  });
  it('keeps the digits of small amounts', () => {
    expect([0, 1, 465, 1_500_000, -200_000, 1e12].map((n) => credits(n))).toEqual(['0.00', '0.000001', '0.000465', '1.50', '-0.2', '1,000,000.00']);
  });
  it('names times, gas and ids', () => {
    expect([0.5, 3.14, 250, 1500, 61_000, 3_700_000].map(duration)).toEqual(['500 µs', '3.1 ms', '250 ms', '1.5 s', '1 min 1 s', '1 h 2 min']);
    expect([12, 4.5e6, 2e9].map(gas)).toEqual(['12 gas', '4.5 Mgas', '2.00 Ggas']);
    expect(short('did:key:z6MkrfC21UhJ9pmz2pzQR1JJW9yjaqcczhfZ7FDVNckfufws')).toBe('z6Mkrf…fufws');
  });
});

describe('tar', () => {
  const files: [string, number][] = [
    ['a.txt', 5], ['empty', 0], ['block', 512], ['sub/dir/deep.bin', 1500], [`${'d'.repeat(90)}/${'f'.repeat(90)}`, 3],
    [`${'x'.repeat(180)}.txt`, 7], ['Grüße 世界 🌲.txt', 11], ['a/-rf', 2], ["it's <b>.html", 4],
  ];

  it('is read by tar as it was written', async () => {
    const items = files.map(([path, size], i) => ({ path, file: new File([new Uint8Array(size).fill(i + 1)], path.split('/').at(-1) ?? '', { lastModified: 1_700_000_000_000 + i * 1000 }) }));
    const dir = mkdtempSync(join(tmpdir(), 'inos-tar-'));
    try {
      writeFileSync(join(dir, 't.tar'), new Uint8Array(await tar(items).arrayBuffer()));
      execFileSync('tar', ['-xf', 't.tar', '-C', dir], { cwd: dir });
      for (const [i, [path, size]] of files.entries()) expect(readFileSync(join(dir, path))).toEqual(Buffer.alloc(size, i + 1));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('counts a record with its own length', () => {
    for (const n of [1, 87, 88, 89, 90, 91, 985, 990, 1000]) {
      const r = record('path', 'x'.repeat(n));
      expect(r.startsWith(`${r.length} path=`)).toBe(true);
    }
  });
});

describe('table', () => {
  it('reads quotes, separators and line ends', () => {
    expect(parseTable('a,b\r\n"x, ""y""","1\n2"\nlast', ',', 10)).toEqual([['a', 'b'], ['x, "y"', '1\n2'], ['last']]);
    expect(parseTable('1\n2\n3\n', ',', 2)).toHaveLength(2);
    expect([delimiterOf('a.csv', 'a;b;c\n1;2;3'), delimiterOf('a.tsv', 'a,b'), delimiterOf('x', 'a,b\n')]).toEqual([';', '\t', ',']);
  });
  it('writes nothing that a spreadsheet runs', () => {
    expect(csv([['=HYPERLINK("x")', -1.5, '@a', 'plain, "q"']])).toBe(`"'=HYPERLINK(""x"")",-1.5,'@a,"plain, ""q"""\r\n`);
  });
});

describe('ledger', () => {
  const entry = (seq: number, time: number, cause: string, from: string, to: string, amount: number, ref = ''): Entry => ({ seq, time, cause, from, to, amount, ref });
  const entries = [
    entry(1, 0, 'grant', 'treasury', 'me', 1000), entry(2, 1000, 'escrow', 'me', 'e1', 200, 'j1'), entry(3, 2000, 'refund', 'e1', 'me', 150, 'j1'),
    entry(4, 2000, 'settle', 'e1', 'you', 50, 'j1'), entry(5, 3000, 'escrow', 'me', 'e2', 70, 'j2'), entry(6, 4000, 'storage', 'me', 'you', 5), entry(7, 5000, 'settle', 'e3', 'me', 9, 'j3'),
  ];
  it('nets what a job held and gave back', () => {
    expect(moves(entries, 'me', ['e2']).map((m) => [m.kind, m.amount])).toEqual([['grant', 1000], ['storage', -5], ['earned', 9], ['paid', -50], ['held', -70]]);
  });
  it('sums to the balance however time is cut', () => {
    for (const max of [2, 3, 24]) {
      const sum = buckets(moves(entries, 'me'), max).flatMap((b) => Object.values(b.byCause)).reduce((a, b) => a + b, 0);
      expect(sum).toBe(884);
    }
    expect(buckets([], 5)).toEqual([]);
  });
  it('knows an escrow that was used up from one that is open, and two of one job apart', () => {
    const used = [entry(1, 0, 'escrow', 'me', 'e1', 100, 'j1'), entry(2, 1, 'refund', 'e1', 'me', 100, 'j1'), entry(3, 2, 'escrow', 'me', 'e2', 100, 'j1'), entry(4, 3, 'escrow', 'me', 'e3', 40, 'j2')];
    expect(moves(used, 'me', ['e3', 'e4']).map((m) => [m.kind, m.amount])).toEqual([['paid', -100], ['held', -40]]);
  });
  it('knows a busy mesh\'s used-up escrow without its settlement', () => {
    expect(moves([entry(1, 0, 'escrow', 'me', 'e1', 100)], 'me', []).map((m) => m.kind)).toEqual(['paid']);
  });
  it('leaves what a job held before these entries to the earlier ones', () => {
    expect(moves([entry(9, 9, 'refund', 'e1', 'me', 80, 'j1'), entry(10, 9, 'grant', 'treasury', 'me', 7)], 'me')).toEqual([{ time: 9, kind: 'grant', amount: 7 }]);
  });
  it('has a row for each cause, which add up to the balance', () => {
    const rows = byCause(moves([...entries, entry(8, 5000, 'storage', 'you', 'me', 3)], 'me', ['e2']));
    expect(rows).toEqual([{ kind: 'earned', in: 9, out: 0 }, { kind: 'paid', in: 0, out: -50 }, { kind: 'held', in: 0, out: -70 }, { kind: 'storage', in: 3, out: -5 }, { kind: 'grant', in: 1000, out: 0 }]);
    expect(rows.reduce((a, r) => a + r.in + r.out, 0)).toBe(887);
  });
});

describe('metrics', () => {
  it('reads samples with their type', () => {
    expect(parseMetrics('# TYPE inos_puts_total counter\ninos_puts_total 3\ninos_x{a="b c"} 1.5e3\n# nothing\n')).toEqual([
      { name: 'inos_puts_total', labels: '', kind: 'counter', value: 3 }, { name: 'inos_x', labels: '{a="b c"}', kind: '', value: 1500 },
    ]);
    expect(title('inos_store_free_bytes')).toBe('Store free bytes');
  });
  const text = '# TYPE inos_gas_total counter\ninos_gas_total 4500000\ninos_new_seconds 61\ninos_module_crashes_total{module="a@1"} 2\ninos_module_calls_total{module="a@1"} 12345\ninos_store_bytes 1536\ninos_jobs_failed_total 0\n';
  it('stand by subsystem, with names and units', () => {
    expect(groups(parseMetrics(text)).map(([g, list]) => [g, list.map((m) => [m.label, m.of, m.text, m.trouble])])).toEqual([
      ['Storage', [['Kept', '', '1.5 KiB', false]]], ['Jobs', [['Failed here', '', '0', false], ['Gas used here', '', '4.5 Mgas', false]]],
      ['Modules', [['Calls', 'a@1', '12,345', false], ['Crashes', 'a@1', '2', true]]], ['Other', [['New seconds', '', '1 min 1 s', false]]],
    ]);
  });
  it('are found by what is shown and by their raw name', () => {
    const found = (q: string): string[] => groups(parseMetrics(text), q).flatMap(([, list]) => list.map((m) => m.name));
    expect([found('modules CRASH'), found('inos_gas'), found('a@1'), found('nothing of this')]).toEqual([['inos_module_crashes_total'], ['inos_gas_total'], ['inos_module_calls_total', 'inos_module_crashes_total'], []]);
  });
});

describe('members', () => {
  it('have room where files are kept: on what is online, and on no edge', () => {
    const peer = (roles: string, free: number, online: boolean, self = false): Peer => ({ roles, free, online, self }) as Peer;
    expect(roomFor([peer('seed+hub', 1, false, true), peer('hub', 2, true), peer('hub', 4, false), peer('edge', 8, true), peer('edge', 16, true, true), peer('hub+edge', 32, true)])).toBe(35);
  });
});

const event = (id: string, type: string, time: string, subject = '', data?: object): NodeEvent => ({ specversion: '1.0', id, source: 'me', type, time, subject, ...(data ? { data } : {}) });

describe('events', () => {
  it('speak of copies only where the member kept some', () => {
    const gone = event('1', 'mesh:member:v1:gone', '2026-01-01T00:00:00Z', 'tab');
    expect([inWords(gone), inWords(gone, true)]).toEqual(['counts as lost; its copies are made elsewhere', 'left']);
  });
  it('name the resident they are about', () => {
    expect(inWords(event('1', 'module:resident:v1:stopped', '2026-01-01T00:00:00Z', 'h', { name: 'boids' }))).toBe('stopped the resident boids');
  });
});

describe('the log', () => {
  const peers = [{ node: 'did:key:zTab', name: 'phone', roles: 'edge' }, { node: 'did:key:zHub', name: 'bela', roles: 'hub' }] as Peer[];
  const all = rows(
    [event('1', 'mesh:member:v1:gone', '2026-01-01T00:00:01Z', 'did:key:zTab'), event('2', 'mesh:member:v1:gone', '2026-01-01T00:00:03Z', 'did:key:zHub'), event('3', 'job:run:v1:failed', '2026-01-01T00:00:04Z', 'j1', { method: 'compute/x.y', worker: 'did:key:zHub', gas: 4_500_000, price: 222 })],
    [{ time: Date.parse('2026-01-01T00:00:02Z'), level: 'WARN', message: 'slow disk', fields: [{ key: 'took', value: '2 s' }] }, { time: Date.parse('2026-01-01T00:00:02Z'), level: 'DEBUG-4', message: 'slow disk' }],
    peers,
  );
  it('lists both, the newest first, with levels and fields', () => {
    expect(all.map((r) => [r.level, r.message])).toEqual([
      ['error', 'failed compute/x.y'], ['warn', 'bela counts as lost; its copies are made elsewhere'], ['debug', 'slow disk'], ['warn', 'slow disk'], ['info', 'phone left'],
    ]);
    expect(all[0]?.fields).toEqual([['event', 'job:run:v1:failed'], ['about', 'j1'], ['method', 'compute/x.y'], ['worker', 'bela'], ['gas', '4.5 Mgas'], ['price', '0.000222 credits']]);
    expect(new Set(all.map((r) => r.key)).size).toBe(5);
  });
  it('keeps the keys of equal lines when the oldest is dropped', () => {
    const line = { time: 5, level: 'INFO', message: 'again' }, keys = (n: number): string[] => rows([], Array<LogLine>(n).fill(line), []).map((r) => r.key);
    expect(keys(2)).toEqual(keys(3).slice(0, 2));
    expect(new Set(keys(3)).size).toBe(3);
  });
  it('is narrowed by level and by words, fields included', () => {
    expect(matching(all, 'warn', '').map((r) => r.level)).toEqual(['error', 'warn', 'warn']);
    expect(matching(all, 'debug', 'took DISK').map(plain)).toEqual(['2026-01-01T00:00:02.000Z WARN slow disk took="2 s"']);
  });
});

describe('addresses', () => {
  it('of this machine alone are told apart', () => {
    expect(['127.0.0.1', '127.9.0.1', '::1', '[::1]', 'LOCALHOST', 'inos.localhost', '::ffff:127.0.0.1'].map(isLoopbackHost)).not.toContain(false);
    expect(['10.0.0.1', 'inos.example', '1127.0.0.1', '127.0.0.1.example', ''].map(isLoopbackHost)).not.toContain(true);
    expect([onlyLoopback(['/ip4/127.0.0.1/tcp/1/p2p/x', '/ip6/::1/udp/1/quic-v1']), onlyLoopback(['/ip4/127.0.0.1/tcp/1', '/dns4/inos.example/tcp/443/tls/ws']), onlyLoopback([])]).toEqual([true, false, false]);
  });
});
