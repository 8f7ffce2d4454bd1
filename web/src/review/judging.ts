// MV: is this mask right? The whole scene beside a close-up.
import { makeNode } from '../dom.ts';
import { SCENE_SIDE, ZOOM_SIDE } from './images.ts';
import { getWhole, Panel } from './scene.ts';
import type { Command, Desk, Screen } from './screen.ts';
import { REASONS, type Item } from './types.ts';

export class JudgingScreen implements Screen {
  readonly node = makeNode('div', 'judging');
  private readonly scene: Panel;
  private readonly zoom: Panel;
  private item: Item | null = null;
  readonly commands: Command[];

  constructor(private readonly desk: Desk) {
    this.scene = new Panel(desk.shelf, SCENE_SIDE);
    this.zoom = new Panel(desk.shelf, ZOOM_SIDE);
    this.node.append(this.scene.node, this.zoom.node);
    const say = (choice: string, reason = '') => () => this.say(choice, reason);
    this.commands = [
      { key: 'A', word: 'accept', kind: 'good', run: say('accept') },
      { key: 'R', word: 'reject', kind: 'bad', run: say('reject') },
      ...REASONS.map(([reason, word], at) => ({ key: String(at + 1), word, kind: 'bad minor', run: say('reject', reason) })),
      { key: 'W', word: 'whole image', run: say('whole_image') },
      { key: 'T', word: 'text', run: say('accept_text') },
      { key: 'F', word: 'flag', run: say('flag') },
      { key: 'U', word: 'unsure', run: say('ungroundable', 'unsure') },
      { key: 'E', word: 'edit', run: () => this.edit(false) },
      { key: 'G', word: 'group', run: () => this.edit(true) },
    ];
  }

  prepare([item]: Item[]): void {
    if (!item) return;
    void this.desk.shelf.load(item.image, getWhole(item), SCENE_SIDE).catch(() => {});
    void this.desk.shelf.load(item.image, item.focus, ZOOM_SIDE).catch(() => {});
  }

  async show([item]: Item[]): Promise<void> {
    this.item = item ?? null;
    const mask = item?.masks[0];
    if (!item || !mask) return;
    const shown = await Promise.all([this.scene.show(item, getWhole(item)), this.zoom.show(item, item.focus)]);
    if (!shown.every(Boolean)) return;
    this.scene.drawBox(mask.box, 'own');
    this.zoom.drawMask(mask, 'own');
  }

  handleKey(): boolean {
    return false;
  }

  private say(choice: string, reason: string): void {
    if (this.item) this.desk.decide([{ item: this.item.id, choice, reason }]);
  }

  private edit(group: boolean): void {
    const mask = this.item?.masks[0];
    if (this.item && mask) this.desk.edit(this.item, group ? (area) => area.markGroup(mask.index) : undefined);
  }
}
