// Edits of a studio that belongs to no conversation: its masks are the component's value, and the server only computes.
import type { Host } from '../../gradio.ts';
import type { Edit, MaskRow, StudioValue } from '../types.ts';

/** A mask as the server takes it back. */
export interface LocalMask extends MaskRow {
  size: [number, number];
  counts: string;
  label: string;
}

/** What an edit is about: the size of the image, the masks it changes, the first one above all, and the next free id. */
export interface AskedEdit {
  size: [number, number];
  masks: LocalMask[];
  next_id: number;
  edit: Edit;
}

export interface LocalReply {
  rows?: MaskRow[];
  gone?: number[];
  active?: number;
  error?: string;
}

export interface LocalListener {
  readonly host: Host;
  getValue(): StudioValue;
  showValue(value: StudioValue): void;
  refuse(note: string): void;
  draw(): void;
}

/** Edits that can be taken back. */
const MOST_STEPS = 100;

export class LocalEdits {
  private waiting: Edit[] = [];
  private isWorking = false;
  private working: Promise<void> = Promise.resolve();
  private done: MaskRow[][] = [];
  private undone: MaskRow[][] = [];
  readonly keptIds = null;

  constructor(private readonly listener: LocalListener) {}

  /** Nothing outlives the page: its masks are the application's. */
  resume(): void {}

  /** Another image is shown: nothing of the one before can be taken back. */
  forget(): void {
    this.waiting = [];
    this.done = [];
    this.undone = [];
  }

  get isEmpty(): boolean {
    return !this.isWorking && !this.waiting.length;
  }

  send(edit: Edit): void {
    this.waiting.push(edit);
    if (!this.isWorking) this.working = this.flush();
  }

  /** Wait until nothing is on its way. */
  settle(): Promise<void> {
    return this.working;
  }

  private async flush(): Promise<void> {
    this.isWorking = true;
    for (let edit = this.waiting.shift(); edit; edit = this.waiting.shift()) {
      await this.make(edit).catch(() => this.listener.refuse('The server does not answer; the edit was not made.'));
    }
    this.isWorking = false;
    this.listener.draw();
  }

  private async make(edit: Edit): Promise<void> {
    const value = this.listener.getValue();
    switch (edit.kind) {
      case 'point': case 'box': return this.find(edit);
      case 'keep': return this.change(value.masks.filter((mask) => edit.ids.includes(mask.id)), null);
      case 'relabel': return this.change(value.masks.map((mask) => edit.ids.includes(mask.id) ? { ...mask, label: edit.label, phrase: edit.label || 'mask' } : mask), value.active);
      case 'threshold': return;
      case 'undo': case 'redo': return this.step(edit.kind);
      default: return this.compute(edit);
    }
  }

  /** Find an object: by the application, or where it leaves that to the host, by its function `find_masks`. */
  private async find(edit: Extract<Edit, { kind: 'point' | 'box' }>): Promise<void> {
    const { host } = this.listener;
    if (host.server.find_masks) return this.compute(edit, 'find_masks');
    this.listener.showValue(this.listener.getValue()); // with the tool and the view of now
    if (edit.kind === 'point') host.trigger('click', { x: edit.x, y: edit.y, positive: edit.positive, id: edit.new ? null : edit.active });
    else host.trigger('box', { box: edit.box, meaning: edit.meaning });
  }

  /** Let the server draw, mend or find masks. */
  private async compute(edit: Edit, name = 'edit_masks'): Promise<void> {
    const value = this.listener.getValue(), masks = this.listMasks(edit, value);
    const asked: AskedEdit = { size: [value.height, value.width], masks, next_id: Math.max(0, ...value.masks.map((mask) => mask.id)) + 1, edit };
    const reply = await this.listener.host.server[name]!(asked) as LocalReply;
    if (this.listener.getValue().key !== value.key) return; // of an image that is shown no more
    if (reply.error || !reply.rows) return this.listener.refuse(reply.error ?? '');
    const others = value.masks.filter((mask) => !reply.gone?.includes(mask.id) && !reply.rows?.some((row) => row.id === mask.id));
    this.change([...others, ...reply.rows].sort((a, b) => b.area - a.area), reply.active ?? null);
  }

  private listMasks(edit: Edit, value: StudioValue): LocalMask[] {
    const ids = edit.kind === 'mend' ? edit.ids : 'active' in edit ? [value.active ?? edit.active] : value.masks.map((mask) => mask.id);
    return ids.flatMap((id) => value.masks.filter((mask) => mask.id === id) as LocalMask[]);
  }

  private change(masks: MaskRow[], active: number | null): void {
    this.done = [...this.done, this.listener.getValue().masks].slice(-MOST_STEPS);
    this.undone = [];
    this.show(masks, active);
  }

  private step(way: 'undo' | 'redo'): void {
    const [from, to] = way === 'undo' ? [this.done, this.undone] : [this.undone, this.done];
    const masks = from.pop();
    if (!masks) return;
    to.push(this.listener.getValue().masks);
    this.show(masks, null);
  }

  private show(masks: MaskRow[], active: number | null): void {
    const points = masks.find((mask) => mask.id === active)?.clicks ?? [];
    const value = { ...this.listener.getValue(), masks, active, points, canUndo: this.done.length > 0, canRedo: this.undone.length > 0 };
    this.listener.showValue(value); // Gradio tells of the change
  }
}
