// Files with the folders before their names, out of what is dropped or chosen; the film strip takes them all.

export interface NamedFile {
  /** A function makes it once it is its turn, so that not all of them are in memory; such a file needs no other one. */
  file: File | (() => Promise<File>);
  name: string;
}

/** Files of one drop; a browser lists a folder in parts. */
const MOST = 2000;

/** Hand files to the film strip. */
export function offerFiles(files: NamedFile[]): void {
  if (files.length) window.dispatchEvent(new CustomEvent('sam3-files', { detail: files }));
}

export const nameFiles = (files: Iterable<File>): NamedFile[] =>
  [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

/** All files that were dropped, those of folders too. What was dropped must be read before anything is awaited. */
export async function collectDropped(carried: DataTransfer): Promise<NamedFile[]> {
  const entries = [...carried.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  if (!entries.some((entry) => entry.isDirectory)) return nameFiles(carried.files);
  const found: NamedFile[] = [];
  for (const entry of entries) await readEntry(entry, found);
  return found;
}

async function readEntry(entry: FileSystemEntry, found: NamedFile[]): Promise<void> {
  if (found.length >= MOST) return;
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    if (!file.name.startsWith('.')) found.push({ file, name: entry.fullPath.slice(1) });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return;
    for (const child of part) await readEntry(child, found);
  }
}
