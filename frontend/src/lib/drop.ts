// What was dropped or picked, as uploads: loose files one by one, a folder whole.
import type { Item } from './tar';

/** Pick is one object to be: a file, or a folder with its files. */
export interface Pick {
  name: string;
  folder: boolean;
  items: Item[];
}

/** maxFiles bounds one folder: a browser keeps a handle for each file. */
export const maxFiles = 100_000;

async function filesOf(dir: FileSystemDirectoryEntry, prefix: string, into: Item[]): Promise<void> {
  const reader = dir.createReader();
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((ok, bad) => reader.readEntries(ok, bad));
    if (batch.length === 0) return;
    for (const e of batch) await entry(e, prefix, into);
  }
}

async function entry(e: FileSystemEntry, prefix: string, into: Item[]): Promise<void> {
  if (into.length >= maxFiles) throw new Error(`a folder has at most ${maxFiles.toLocaleString('en')} files here; use inos put for more`);
  if (e.isDirectory) return filesOf(e as FileSystemDirectoryEntry, `${prefix}${e.name}/`, into);
  const file = await new Promise<File>((ok, bad) => (e as FileSystemFileEntry).file(ok, bad));
  into.push({ path: prefix + e.name, file });
}

/** dropped reads a drop. It must be called in the drop's own event. */
export async function dropped(data: DataTransfer): Promise<Pick[]> {
  const entries = [...data.items].map((i) => i.webkitGetAsEntry()).filter((e) => e !== null);
  const picks: Pick[] = [];
  for (const e of entries) {
    const items: Item[] = [];
    if (e.isDirectory) await filesOf(e as FileSystemDirectoryEntry, '', items);
    else await entry(e, '', items);
    picks.push({ name: e.name, folder: e.isDirectory, items: sorted(items) });
  }
  return picks;
}

/** chosen groups what a file input gave: relative paths mean a folder. */
export function chosen(files: FileList): Pick[] {
  const folders = new Map<string, Item[]>();
  const picks: Pick[] = [];
  for (const file of files) {
    const [top, ...rest] = file.webkitRelativePath.split('/');
    if (!top || rest.length === 0) {
      picks.push({ name: file.name, folder: false, items: [{ path: file.name, file }] });
      continue;
    }
    const items = folders.get(top) ?? [];
    folders.set(top, items);
    items.push({ path: rest.join('/'), file });
  }
  for (const [name, items] of folders) picks.push({ name, folder: true, items: sorted(items) });
  return picks;
}

function sorted(items: Item[]): Item[] {
  return items.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
