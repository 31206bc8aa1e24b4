// A folder as one Blob in tar format. The Blob refers to the files: nothing is
// read before it is sent, and any part of it can be sent again.
//
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".

/** Item is one file of a folder. Its path is relative, with slashes. */
export interface Item {
  path: string;
  file: File;
}

const block = 512;
const utf8 = new TextEncoder();

function field(b: Uint8Array, at: number, text: string): void {
  b.set(utf8.encode(text), at);
}

function octal(n: number, width: number): string {
  return n.toString(8).padStart(width - 1, '0') + '\0';
}

/** split puts a path into ustar's name and prefix, or says that it does not fit. */
function split(path: string): { name: string; prefix: string } | null {
  if (utf8.encode(path).length > path.length) return null; // not ASCII: pax
  if (path.length <= 100) return { name: path, prefix: '' };
  for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) {
    if (i <= 155 && path.length - i - 1 <= 100) return { name: path.slice(i + 1), prefix: path.slice(0, i) };
  }
  return null;
}

const maxOctal = 8 ** 11 - 1;

function header(name: string, prefix: string, size: number, mtime: number, type: string): Uint8Array<ArrayBuffer> {
  const b = new Uint8Array(block);
  field(b, 0, name);
  field(b, 100, octal(0o644, 8));
  field(b, 108, octal(0, 8));
  field(b, 116, octal(0, 8));
  field(b, 124, octal(Math.min(size, maxOctal), 12));
  field(b, 136, octal(mtime, 12));
  field(b, 148, ' '.repeat(8));
  field(b, 156, type);
  field(b, 257, 'ustar\x0000');
  field(b, 345, prefix);
  const sum = b.reduce((a, v) => a + v, 0);
  field(b, 148, sum.toString(8).padStart(6, '0') + '\0 ');
  return b;
}

/** record is one line of a pax header, whose length counts itself. */
export function record(key: string, value: string): string {
  const rest = utf8.encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function pad(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((block - (size % block)) % block);
}

/** headersOf returns what precedes a file's bytes. */
export function headersOf(path: string, size: number, modified: number): Uint8Array<ArrayBuffer>[] {
  const mtime = Math.max(0, Math.floor(modified / 1000));
  const fits = split(path);
  if (fits && size <= maxOctal) return [header(fits.name, fits.prefix, size, mtime, '0')];
  const records = utf8.encode(record('path', path) + (size > maxOctal ? record('size', String(size)) : ''));
  return [
    header('pax', '', records.length, mtime, 'x'),
    records as Uint8Array<ArrayBuffer>,
    pad(records.length),
    header('file', '', size, mtime, '0'),
  ];
}

/** tar joins files, which should be sorted so that the same folder gives the same bytes. */
export function tar(items: Item[]): Blob {
  const parts: BlobPart[] = [];
  for (const { path, file } of items) {
    parts.push(...headersOf(path, file.size, file.lastModified), file, pad(file.size));
  }
  parts.push(new Uint8Array(2 * block));
  return new Blob(parts);
}
