// Opens files that are chosen, dropped anywhere or pasted: it hands them to Gradio's upload.

/** Open a file, or let the visitor choose one. */
export function openFile(files: FileList | File[] | null): void {
  const picker = document.querySelector<HTMLInputElement>('input[type=file]'), file = files?.[0];
  if (!picker) return;
  if (!file) return picker.click();
  const carried = new DataTransfer();
  carried.items.add(file);
  picker.files = carried.files;
  picker.dispatchEvent(new Event('change', { bubbles: true }));
}

export function connectFiles(stage: HTMLElement): void {
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData?.files ?? []].filter((file) => file.type.startsWith('image/'));
    if (!files.length) return;
    event.preventDefault();
    openFile(files);
  });
  for (const kind of ['dragenter', 'dragover'])
    document.addEventListener(kind, (event) => { event.preventDefault(); stage.dataset.drag = 'yes'; });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) stage.dataset.drag = 'no'; });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.dataset.drag = 'no';
    if (event.dataTransfer?.files.length) openFile(event.dataTransfer.files);
  });
}
