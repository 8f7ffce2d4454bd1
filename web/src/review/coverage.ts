// EV: is every object of the phrase there? The masks of a pair on its image; whatever shall change opens the work area.
import { makeNode } from '../dom.ts';
import { SCENE_SIDE } from './images.ts';
import { getWhole, Panel } from './scene.ts';
import type { Box, Point } from '../canvas/types.ts';
import { listRefusals, type Command, type Desk, type Screen } from './screen.ts';
import type { Item } from './types.ts';

/** Pixels of the screen: a shorter way is a click. */
const SHORTEST_DRAG = 6;

export class CoverageScreen implements Screen {
  readonly node = makeNode('div', 'pair');
  readonly commands: Command[];
  private readonly panel: Panel;
  private item: Item | null = null;
  private from: PointerEvent | null = null;

  constructor(private readonly desk: Desk) {
    this.panel = new Panel(desk.shelf, SCENE_SIDE);
    this.panel.node.classList.add('workable');
    this.node.append(this.panel.node);
    const say = (choice: string, reason = ''): void => { if (this.item) desk.decide([{ item: this.item.id, choice, reason }]); };
    this.commands = [
      { key: 'Enter', word: 'all are there', kind: 'good', run: () => say('accept') },
      { key: 'R', word: 'some are missing', kind: 'bad', run: () => say('reject') },
      { key: 'X', word: 'missing, inseparable', kind: 'bad', run: () => say('reject_unseparated') },
      { key: 'E', word: 'edit', run: () => { if (this.item) desk.edit(this.item); } },
      ...listRefusals(say),
    ];
    this.listen();
  }

  prepare([item]: Item[]): void {
    if (item) void this.desk.shelf.load(item.image, getWhole(item), SCENE_SIDE).catch(() => {});
  }

  async show([item]: Item[]): Promise<void> {
    if (!item) return;
    this.item = item;
    this.panel.clear();
    if (!await this.panel.show(item, getWhole(item))) return;
    for (const mask of item.masks) {
      this.panel.drawMask(mask, 'own');
      this.panel.drawBox(mask.box, 'own');
    }
  }

  handleKey(): boolean {
    return false;
  }

  /** A click or a drawn box adds what is missing: in the work area, which takes it as its first one. */
  private listen(): void {
    const { node } = this.panel;
    node.addEventListener('pointerdown', (event) => { if (event.button === 0) this.from = event; });
    node.addEventListener('pointerup', (event) => {
      const { from, item } = this;
      this.from = null;
      if (!from || !item) return;
      const start = this.panel.toPixel(from), at = this.panel.toPixel(event);
      const far = Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > SHORTEST_DRAG;
      this.desk.edit(item, (area) => far ? area.addBox(orderCorners(start, at)) : area.addAt(at));
    });
  }
}

function orderCorners([ax, ay]: Point, [bx, by]: Point): Box {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}
