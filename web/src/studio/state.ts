// What the studio shows and what the next click is about. It decides nothing; Python does.
import { EMPTY_VALUE } from './types.ts';
import type { MaskRow, Point, StudioValue } from './types.ts';

/** The object that the next clicks are about. */
export interface EditedObject {
  /** The same for all clicks on it. */
  token: number;
  active: number | null;
  /** A new object, even where a mask is. */
  fresh: boolean;
}

export class StudioState {
  value: StudioValue = EMPTY_VALUE;
  /** The rows of masks as the server has them. */
  confirmed: MaskRow[] = [];
  object: EditedObject = { token: 1, active: null, fresh: false };
  /** Why the latest edit was refused. */
  note = '';
  /** Where the arrow keys have moved the cross. */
  cross: Point | null = null;
  /** The first click of a box. */
  corner: Point | null = null;
  /** The frame of a video that is shown. */
  moment = 0;
  threshold = 0;
  extends = false;
  compared = false;
  /** The next click on a mask merges it into the chosen one. */
  merging = false;
  /** Masks that are not drawn, and masks that no edit changes: for this visit alone. */
  readonly hidden = new Set<number>();
  readonly locked = new Set<number>();

  findMask(id: number | null): MaskRow | undefined {
    return this.value.masks.find((mask) => mask.id === id);
  }

  /** The masks of the answer. */
  listChosen(): MaskRow[] {
    return this.value.masks.filter((mask) => mask.selected && mask.score > this.threshold);
  }

  /** The masks of the answer that are in the frame that is shown. */
  listShown(): MaskRow[] {
    if (!this.value.film) return this.listChosen().filter((mask) => !this.hidden.has(mask.id));
    return this.listChosen().flatMap((mask) => {
      const frame = mask.frames?.[this.moment];
      return frame ? [{ ...mask, path: frame[0], at: [frame[1], frame[2]] as Point }] : [];
    });
  }

  get frame(): number | null {
    return this.value.film ? this.moment : null;
  }

  chooseMask(id: number | null): void {
    this.value.active = id;
    this.value.points = [];
    this.object = { token: this.object.token + 1, active: id, fresh: false };
    this.note = '';
    this.merging = false;
  }

  /** Whether a mask is locked, which the note says then. */
  refuseLocked(id: number | null): boolean {
    if (id === null || !this.locked.has(id)) return false;
    this.note = `Mask ${id} is locked. Unlock it to change it.`;
    return true;
  }

  beginObject(): void {
    this.chooseMask(null);
    this.object.fresh = true;
    this.note = 'The next click begins a new object.';
  }

  /** The mask of the object that is being clicked, now that the server has made it. */
  adoptActive(): void {
    if (this.value.active !== null) this.object = { ...this.object, active: this.value.active };
  }
}
