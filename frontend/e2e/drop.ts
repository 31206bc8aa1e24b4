import type { Page } from 'playwright-core';

/** dropFolder hands the page a folder as a person's drop would, entries and all. */
export async function dropFolder(page: Page, name: string, files: [string, Buffer][]): Promise<void> {
  await page.evaluate(([folder, list]) => {
    const entryOf = (file: File) => ({ isDirectory: false, name: file.name, file: (ok: (f: File) => void) => ok(file) });
    const tree = new Map<string, unknown[]>();
    for (const [path, text] of list) {
      const at = path.lastIndexOf('/');
      const dir = path.slice(0, Math.max(0, at));
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      tree.set(dir, [...(tree.get(dir) ?? []), entryOf(new File([bytes], path.slice(at + 1), { lastModified: 1_700_000_000_000 }))]);
    }
    const dirEntry = (label: string, path: string): unknown => ({
      isDirectory: true, name: label,
      createReader: () => {
        let batches = [[...(tree.get(path) ?? []), ...(path === '' ? [...tree.keys()].filter(Boolean).map((d) => dirEntry(d, d)) : [])], []];
        return { readEntries: (ok: (e: unknown[]) => void) => ok(batches.shift() ?? []) };
      },
    });
    const data = { items: [{ webkitGetAsEntry: () => dirEntry(folder, '') }] };
    const e = new Event('drop', { bubbles: true, cancelable: true });
    Object.defineProperty(e, 'dataTransfer', { value: data });
    document.querySelector('.files')!.dispatchEvent(e);
  }, [name, files.map(([p, b]): [string, string] => [p, b.toString('base64')])] as const);
}
