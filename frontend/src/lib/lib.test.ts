import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Entry, Peer } from './api';
import { bytes, credits, duration, gas, rate, short } from './format';
import { buckets, moves } from './ledger';
import { roomFor } from './members';
import { parseMetrics, title } from './metrics';
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
    expect(moves(entries, 'me').map((m) => [m.kind, m.amount])).toEqual([['grant', 1000], ['storage', -5], ['earned', 9], ['paid', -50], ['held', -70]]);
  });
  it('sums to the balance however time is cut', () => {
    for (const max of [2, 3, 24]) {
      const sum = buckets(entries, 'me', max).flatMap((b) => Object.values(b.byCause)).reduce((a, b) => a + b, 0);
      expect(sum).toBe(884);
    }
    expect(buckets([], 'me', 5)).toEqual([]);
  });
});

describe('metrics', () => {
  it('reads samples with their type', () => {
    expect(parseMetrics('# TYPE inos_puts_total counter\ninos_puts_total 3\ninos_x{a="b c"} 1.5e3\n# nothing\n')).toEqual([
      { name: 'inos_puts_total', labels: '', kind: 'counter', value: 3 }, { name: 'inos_x', labels: '{a="b c"}', kind: '', value: 1500 },
    ]);
    expect(title('inos_store_free_bytes')).toBe('Store free bytes');
  });
});

describe('members', () => {
  it('have room where files are kept: on what is online, and on no edge', () => {
    const peer = (roles: string, free: number, online: boolean, self = false): Peer => ({ roles, free, online, self }) as Peer;
    expect(roomFor([peer('seed+hub', 1, false, true), peer('hub', 2, true), peer('hub', 4, false), peer('edge', 8, true), peer('edge', 16, true, true), peer('hub+edge', 32, true)])).toBe(35);
  });
});
