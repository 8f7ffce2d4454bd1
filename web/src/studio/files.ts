// Opens files that are chosen, dropped anywhere or pasted: it hands them to the film strip.
import { collectDropped, nameFiles, offerFiles } from '../named_files.ts';
import { EDITABLE } from './tools/keys.ts';

/** Let the visitor choose files. */
export function openFile(): void {
  document.querySelector<HTMLInputElement>('input[type=file]')?.click();
}

export function connectFiles(stage: HTMLElement): void {
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData?.files ?? []].filter((file) => file.type.startsWith('image/'));
    // a cell of a table is copied as words and as an image of them
    const isWords = event.target instanceof Element && event.target.closest(EDITABLE) && event.clipboardData?.types.includes('text/plain');
    if (!files.length || isWords) return;
    event.preventDefault();
    offerFiles(nameFiles(files));
  });
  for (const kind of ['dragenter', 'dragover'])
    document.addEventListener(kind, (event) => { event.preventDefault(); stage.dataset.drag = 'yes'; });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) stage.dataset.drag = 'no'; });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.dataset.drag = 'no';
    if (event.dataTransfer?.files.length) void collectDropped(event.dataTransfer).then(offerFiles);
  });
}
