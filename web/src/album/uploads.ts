// Uploads files a few at a time, and adds them to the strip.
import type { NamedFile } from '../named_files.ts';
import type { Album } from './album.ts';

declare global {
  /** Uploads a file to Gradio; free in the script of a component. */
  function upload(file: File): Promise<{ path: string; url: string }>;
}

const BATCH = 6;
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
    const sent = (await Promise.all(batch.map((one) => sendFile(one, onNotes)))).filter((one) => one !== null);
    if (sent.length) await album.request({ kind: 'add', files: sent, alone: files.length === 1, sam3: album.sam3 });
    done += batch.length;
  }
  onProgress(done, files.length);
}

const needsImages = ({ name, file }: NamedFile): boolean => typeof file !== 'function' && MASK_FILES.test(name);

async function sendFile({ file, name }: NamedFile, onNotes: (notes: string[]) => void): Promise<{ path: string; name: string } | null> {
  const content = typeof file === 'function' ? await file().catch(() => null) : file;
  if (!content) {
    onNotes([`${name}: this browser no longer has the file; add it again.`]);
    return null;
  }
  try {
    return { path: (await upload(content)).path, name };
  } catch {
    onNotes([`${name}: the server did not take the file; it may be too large.`]);
    return null;
  }
}
