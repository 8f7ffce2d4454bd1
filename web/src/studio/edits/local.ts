// Edits of a studio that belongs to no conversation: its masks are the component's value, and Python only computes.
import type { Host } from '../../gradio.ts';
import type { Edit, MaskRow, StudioValue } from '../types.ts';

/** A mask as Python takes it back. */
interface LocalMask extends MaskRow {
  size: [number, number];
  counts: string;
  label: string;
}

interface Reply {
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
  private done: MaskRow[][] = [];
  private undone: MaskRow[][] = [];
  readonly keptIds = null;

  constructor(private readonly listener: LocalListener) {}

  /** Nothing outlives the page: its masks are the application's. */
  resume(): void {}

  get isEmpty(): boolean {
    return !this.isWorking && !this.waiting.length;
  }

  send(edit: Edit): void {
    this.waiting.push(edit);
    if (!this.isWorking) void this.flush();
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
    const { host } = this.listener, value = this.listener.getValue();
    if (edit.kind === 'point' || edit.kind === 'box') this.listener.showValue(value); // with the tool and the view of now
    switch (edit.kind) {
      case 'point': return host.trigger('click', { x: edit.x, y: edit.y, positive: edit.positive, id: edit.new ? null : edit.active });
      case 'box': return host.trigger('box', { box: edit.box, meaning: edit.meaning });
      case 'keep': return this.change(value.masks.filter((mask) => edit.ids.includes(mask.id)), null);
      case 'relabel': return this.change(value.masks.map((mask) => edit.ids.includes(mask.id) ? { ...mask, label: edit.label, phrase: edit.label || 'mask' } : mask), value.active);
      case 'threshold': return;
      case 'undo': case 'redo': return this.step(edit.kind);
      default: return this.compute(edit);
    }
  }

  /** Let Python draw or mend masks. */
  private async compute(edit: Extract<Edit, { kind: 'stroke' | 'polygon' | 'mend' }>): Promise<void> {
    const { host } = this.listener, value = this.listener.getValue();
    const ids = edit.kind === 'mend' ? edit.ids : [value.active ?? edit.active];
    const masks = ids.flatMap((id) => value.masks.filter((mask) => mask.id === id) as LocalMask[]);
    const asked = { size: [value.height, value.width], masks, next_id: Math.max(0, ...value.masks.map((mask) => mask.id)) + 1, edit };
    const reply = await host.server.edit_masks!(asked) as Reply;
    if (reply.error || !reply.rows) return this.listener.refuse(reply.error ?? '');
    const others = value.masks.filter((mask) => !reply.gone?.includes(mask.id) && !reply.rows?.some((row) => row.id === mask.id));
    this.change([...others, ...reply.rows].sort((a, b) => b.area - a.area), reply.active ?? null);
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
    const value = { ...this.listener.getValue(), masks, active, canUndo: this.done.length > 0, canRedo: this.undone.length > 0 };
    this.listener.showValue(value); // Gradio tells of the change
  }
}
