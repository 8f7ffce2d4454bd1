// Shares the image with its masks and the words of the answer. A browser that cannot share files downloads the image.
import type { Canvas } from './types.ts';

const SHARE = 'Share', SAVE = 'Save image', AGAIN = 'Ready: share', GONE_NOTE = 'The server does not answer; try again.';

interface Reply {
  error?: string;
  name: string;
  type: string;
  url: string;
  text: string;
}

interface Shared {
  file: File;
  text: string;
  /** What the canvas showed then. */
  mark: string;
}

export class Sharer {
  private shared: Shared | null = null;
  private mark = '';
  private isFetching = false;

  constructor(
    private readonly button: HTMLButtonElement, private readonly note: HTMLElement, private readonly request: () => Promise<Reply>,
  ) {
    button.addEventListener('click', () => void this.share());
  }

  /** Offer what the canvas shows now. */
  update({ key, revision, masks, busy }: Canvas): void {
    this.button.hidden = busy || !masks.some((mask) => mask.selected);
    if (this.mark !== `${key} ${revision}`) this.note.textContent = '';
    this.mark = `${key} ${revision}`;
    const isReady = this.shared?.mark === this.mark;
    this.button.textContent = !canShare() ? SAVE : isReady ? AGAIN : SHARE;
  }

  private async share(): Promise<void> {
    if (this.isFetching) return;
    this.note.textContent = '';
    const wasReady = this.shared?.mark === this.mark, shared = wasReady ? this.shared : await this.fetch();
    if (!shared) return;
    this.shared = null;
    if (!canShare(shared.file)) return saveFile(shared.file);
    try {
      await navigator.share({ files: [shared.file], text: shared.text });
    } catch (problem) {
      const kind = problem instanceof DOMException ? problem.name : '';
      if (kind === 'AbortError') return; // the visitor closed the sheet
      if (kind !== 'NotAllowedError' || wasReady) return saveFile(shared.file);
      this.shared = shared; // the tap was too long ago: the next one shares at once
      this.button.textContent = AGAIN;
    }
  }

  private async fetch(): Promise<Shared | null> {
    const { mark } = this;
    this.isFetching = true;
    this.button.setAttribute('aria-busy', 'true');
    const reply = await this.request().catch(() => ({ error: GONE_NOTE } as Reply));
    this.isFetching = false;
    this.button.removeAttribute('aria-busy');
    if (reply.error) {
      this.note.textContent = reply.error;
      return null;
    }
    const content = await (await fetch(reply.url)).blob();
    return { file: new File([content], reply.name, { type: reply.type }), text: reply.text, mark };
  }
}

/** Whether this browser shares files: phones do, and some computers. */
function canShare(file = new File([''], 'image.jpg', { type: 'image/jpeg' })): boolean {
  return typeof navigator.canShare === 'function' && navigator.canShare({ files: [file] });
}

function saveFile(file: File): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
