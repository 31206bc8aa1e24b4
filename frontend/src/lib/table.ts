// Tables as text: RFC 4180, with tabs or semicolons as well.

export function delimiterOf(name: string, text: string): string {
  if (/\.tsv$/i.test(name)) return '\t';
  const line = text.slice(0, text.indexOf('\n') + 1 || undefined);
  return [',', ';', '\t'].reduce((a, b) => (line.split(b).length > line.split(a).length ? b : a));
}

/** parseTable reads at most max rows. A quote inside quotes is written twice. */
export function parseTable(text: string, delimiter: string, max: number): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length && rows.length < max; i++) {
    const c = text[i] ?? '';
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === delimiter) { row.push(cell); cell = ''; }
    else if (c === '\n') { row.push(cell.replace(/\r$/, '')); rows.push(row); row = []; cell = ''; }
    else cell += c;
  }
  if ((cell || row.length) && rows.length < max) { row.push(cell); rows.push(row); }
  return rows;
}

/** csv renders rows. What a spreadsheet would take for a formula is defused. */
export function csv(rows: (string | number)[][]): string {
  const cell = (v: string | number): string => {
    const s = typeof v === 'string' && /^[=+\-@\t\r]/.test(v) ? `'${v}` : String(v);
    return /[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  return rows.map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n';
}

/** save hands the browser a file made here. */
export function save(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
