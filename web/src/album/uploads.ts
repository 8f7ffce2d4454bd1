// Uploads files a few at a time, and adds them to the strip.
import type { NamedFile } from '../named_files.ts';
import { forgetText, recallText, rememberText } from '../tab_store.ts';
import type { Album } from './album.ts';

declare global {
  /** Uploads a file to Gradio; free in the script of a component. */
  function upload(file: File): Promise<{ path: string; url: string }>;
}

const BATCH = 6;
/** Where the names of files on their way are kept. */
const UPLOADING = 'sam3-uploading';
const MASK_FILES = /\.(json|txt|ya?ml|zip|concept|safetensors)$/i;

export type ProgressListener = (done: number, total: number) => void;

/** Images first, so that files of masks and of concepts find them. */
export async function addFiles(album: Album, files: NamedFile[], onProgress: ProgressListener, onNotes: (notes: string[]) => void): Promise<void> {
  const masks = files.filter(needsImages), images = files.filter((one) => !needsImages(one));
  let done = 0;
  const batches = Array.from({ length: Math.ceil(images.length / BATCH) }, (_, place) => images.slice(place * BATCH, (place + 1) * BATCH));
  if (masks.length) batches.push(masks);
  for (const batch of batches) {
    onProgress(done, files.length);
    rememberText(UPLOADING, JSON.stringify(batches.slice(batches.indexOf(batch)).flat().map((one) => one.name)));
    const sent = (await Promise.all(batch.map((one) => sendFile(one, onNotes)))).filter((one) => one !== null);
    if (sent.length) await album.request({ kind: 'add', files: sent, alone: files.length === 1, sam3: album.sam3 });
    done += batch.length;
  }
  forgetText(UPLOADING);
  onProgress(done, files.length);
}

/** A sentence on files that were on their way when the page was loaded again; '' where there were none. */
export function tellLostFiles(): string {
  const names = JSON.parse(recallText(UPLOADING) ?? '[]') as string[];
  forgetText(UPLOADING);
  const [first, ...others] = names;
  return first ? `${first}${others.length ? ` and ${others.length} more` : ''} had not arrived when the page was loaded again: add what is missing again.` : '';
}

const needsImages = ({ name, file }: NamedFile): boolean => typeof file !== 'function' && MASK_FILES.test(name);

async function sendFile({ file, name }: NamedFile, onNotes: (notes: string[]) => void): Promise<{ path: string; name: string } | null> {
  const content = typeof file === 'function' ? await file().catch(() => null) : file;
  if (!content) {
    onNotes([`${name}: this browser no longer has the file; add it again.`]);
    return null;
  }
  for (;;) {
    try {
      return { path: (await upload(content)).path, name };
    } catch {
      if (navigator.onLine) break;
      await new Promise((back) => window.addEventListener('online', back, { once: true })); // and then once more
    }
  }
  onNotes([`${name}: the server did not take the file; it may be too large.`]);
  return null;
}
