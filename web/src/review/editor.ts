// The masks of a pair while somebody corrects them: added by clicks and boxes, accepted, rejected, grouped.
import { postJson } from './server.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { Item, MaskView } from './types.ts';

/** x, y, and whether it is on the object. */
type Click = [number, number, boolean];

export interface EditedMask extends MaskView {
  accepted: boolean;
  group: boolean;
  clicks: Click[];
  drawnBox: Box | null;
}

export class Editor {
  masks: EditedMask[] = [];
  active = -1;
  private item: Item | null = null;

  constructor(private readonly onChange: () => void, private readonly tell: (message: string) => void) {}

  open(item: Item): void {
    this.item = item;
    this.masks = item.masks.map((mask) => ({ ...mask, accepted: mask.is_accepted ?? true, group: false, clicks: [], drawnBox: null }));
    this.active = -1;
    this.onChange();
  }

  get added(): number {
    return this.masks.filter((mask) => mask.index === undefined).length;
  }

  get current(): EditedMask | null {
    return this.masks[this.active] ?? null;
  }

  select(index: number): void {
    this.active = index;
    this.onChange();
  }

  step(by: number): void {
    const count = this.masks.length;
    if (count) this.select((Math.max(this.active, by > 0 ? -1 : 0) + by + count) % count);
  }

  toggleAccepted(index = this.active): void {
    const mask = this.masks[index];
    if (!mask) return this.tell('choose a mask first: Tab, or a click on it');
    if (mask.index === undefined) return this.remove(index);
    mask.accepted = !mask.accepted;
    this.select(index);
  }

  toggleGroup(): void {
    const mask = this.current;
    if (!mask) return this.tell('choose a mask first: Tab, or a click on it');
    mask.group = !mask.group;
    this.onChange();
  }

  remove(index: number): void {
    this.masks.splice(index, 1);
    this.select(Math.min(this.active, this.masks.length - 1));
  }

  /** Add the object under a pixel, or around which somebody has drawn a box. */
  async add(clicks: Click[], box: Box | null): Promise<void> {
    const made = await this.refine(clicks, box);
    if (!made) return;
    this.masks.push({ ...made, accepted: true, group: false, clicks, drawnBox: box });
    this.select(this.masks.length - 1);
  }

  /** Say that a pixel belongs to the active mask, or that it does not. */
  async improve(point: Point, positive: boolean): Promise<void> {
    const mask = this.current;
    if (!mask) return positive ? this.add([[...point, true]], null) : this.tell('choose the mask first that this does not belong to');
    // of a mask that SAM 3 found by the phrase there are no clicks: its box stands for them
    const box = mask.drawnBox ?? (mask.clicks.length ? null : mask.box);
    const clicks: Click[] = [...mask.clicks, [...point, positive]];
    const made = await this.refine(clicks, box);
    if (!made) return;
    const { index: _, ...others } = mask;
    this.masks[this.masks.indexOf(mask)] = { ...others, ...made, accepted: true, clicks, drawnBox: box };
    this.onChange();
  }

  findMaskAt(node: Element | null): number {
    const held = node?.getAttribute('data-at');
    return held ? Number(held) : -1;
  }

  toContent(exhaustive: boolean): string {
    const masks = this.masks.filter((mask) => mask.accepted)
      .map(({ index, counts, group }) => index === undefined ? { counts, group } : { index, group });
    return JSON.stringify({ masks, exhaustive });
  }

  private async refine(points: Click[], box: Box | null): Promise<MaskView | null> {
    const item = this.item;
    try {
      const { mask } = await postJson<{ mask: MaskView | null }>('/api/refine', { item: item?.id, points, box });
      if (item !== this.item) return null;
      if (!mask) this.tell('SAM 3 finds nothing there');
      return mask;
    } catch (error) {
      this.tell((error as Error).message);
      return null;
    }
  }
}
