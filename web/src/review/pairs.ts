// EV and correction: all masks of a pair on its image. Clicks add what is missing; correction also mends what is there.
import { appendSvg } from '../canvas/svg.ts';
import { makeNode } from '../dom.ts';
import { Editor } from './editor.ts';
import { SCENE_SIDE } from './images.ts';
import { getWhole, Panel } from './scene.ts';
import type { Command, Desk, Screen } from './screen.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { Item } from './types.ts';

const DRAG = 6;
const STEP = 1 / 40;
const ARROWS: Record<string, Point> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class PairScreen implements Screen {
  readonly node = makeNode('div', 'pair');
  private readonly panel: Panel;
  private readonly editor: Editor;
  private item: Item | null = null;
  private cross: Point | null = null;
  private corner: Point | null = null;
  private from: PointerEvent | null = null;
  readonly commands: Command[];

  constructor(private readonly desk: Desk, private readonly isCorrection: boolean) {
    this.panel = new Panel(desk.shelf, SCENE_SIDE);
    this.panel.node.classList.add('workable');
    this.node.append(this.panel.node);
    this.editor = new Editor(() => this.draw(), (message) => desk.tell(message));
    this.commands = isCorrection ? this.listCorrectionCommands() : this.listCoverageCommands();
    this.listen();
  }

  prepare([item]: Item[]): void {
    if (item) void this.desk.shelf.load(item.image, getWhole(item), SCENE_SIDE).catch(() => {});
  }

  async show([item]: Item[]): Promise<void> {
    if (!item) return;
    this.item = item;
    this.cross = this.corner = null;
    const shown = this.panel.show(item, getWhole(item));
    this.editor.open(item);
    this.panel.clear();
    if (await shown) this.draw();
  }

  /** Mark the masks that shall count as several objects at once. */
  markGroups(): void {
    for (const mask of this.editor.masks) mask.group = mask.accepted;
    this.draw();
  }

  handleKey(event: KeyboardEvent): boolean {
    const arrow = ARROWS[event.key];
    if (arrow) this.moveCross(arrow, event.shiftKey ? 4 : 1);
    else if (event.key === 'Tab' && this.editor.masks.length) this.editor.step(event.shiftKey ? -1 : 1);
    else if (event.key === 'Backspace' || event.key === 'Delete') this.removeLast();
    else if (event.key === 'Escape') { this.cross = this.corner = null; this.editor.select(-1); }
    else return false;
    return true;
  }

  private listCoverageCommands(): Command[] {
    return [
      { key: 'Enter', word: 'all are there', kind: 'good', run: () => this.sendCoverage() },
      { key: 'R', word: 'some are missing', kind: 'bad', run: () => this.say('reject') },
      { key: 'X', word: 'missing, inseparable', kind: 'bad', run: () => this.say('reject_unseparated') },
      ...this.listPointCommands(),
      ...this.listRefusals(),
    ];
  }

  private listCorrectionCommands(): Command[] {
    return [
      { key: 'Enter', word: 'done, all are there', kind: 'good', run: () => this.sendCorrection(true) },
      { key: 'I', word: 'done, not all', kind: 'bad', run: () => this.sendCorrection(false) },
      { key: 'D', word: 'accept or reject the mask', run: () => this.editor.toggleAccepted() },
      { key: 'G', word: 'group', run: () => this.editor.toggleGroup() },
      ...this.listPointCommands(),
      ...this.listRefusals(),
    ];
  }

  private listPointCommands(): Command[] {
    return [
      { key: 'C', word: 'add at the cross', kind: 'minor', run: () => this.useCross((at) => void this.editor.add([[...at, true]], null)) },
      { key: 'P', word: 'belongs to the mask', kind: 'minor', run: () => this.useCross((at) => void this.editor.improve(at, true)) },
      { key: 'N', word: 'does not belong', kind: 'minor', run: () => this.useCross((at) => void this.editor.improve(at, false)) },
      { key: 'B', word: 'corner of a box', kind: 'minor', run: () => this.useCross((at) => this.setCorner(at)) },
    ];
  }

  private listRefusals(): Command[] {
    return [
      { key: 'W', word: 'whole image', kind: 'minor', run: () => this.say('whole_image') },
      { key: 'F', word: 'flag', kind: 'minor', run: () => this.say('flag') },
      { key: 'V', word: 'vague', kind: 'minor', run: () => this.say('ungroundable', 'vague') },
      { key: 'U', word: 'unsure', kind: 'minor', run: () => this.say('ungroundable', 'unsure') },
    ];
  }

  private say(choice: string, reason = '', content = ''): void {
    if (this.item) this.desk.decide([{ item: this.item.id, choice, reason, content }]);
  }

  private sendCoverage(): void {
    if (this.editor.added) this.sendCorrection(true);
    else this.say('accept');
  }

  private sendCorrection(exhaustive: boolean): void {
    this.say('corrected', '', this.editor.toContent(exhaustive));
  }

  private removeLast(): void {
    const last = this.editor.masks.length - 1;
    const at = this.editor.active >= 0 ? this.editor.active : last;
    if (this.editor.masks[at] && (this.isCorrection || this.editor.masks[at].index === undefined)) this.editor.toggleAccepted(at);
  }

  private moveCross([x, y]: Point, by: number): void {
    if (!this.item) return;
    const { width, height } = this.item.image, step = Math.max(1, Math.round(Math.max(width, height) * STEP)) * by;
    const [fromX, fromY] = this.cross ?? [width / 2, height / 2];
    this.cross = [Math.min(Math.max(fromX + x * step, 0), width - 1), Math.min(Math.max(fromY + y * step, 0), height - 1)];
    this.draw();
  }

  private useCross(act: (at: Point) => void): void {
    if (this.cross) act(this.cross);
    else this.moveCross([0, 0], 1);
  }

  private setCorner(at: Point): void {
    const first = this.corner;
    this.corner = first ? null : at;
    if (first) void this.editor.add([], orderCorners(first, at));
    this.draw();
  }

  private listen(): void {
    const { node } = this.panel;
    node.addEventListener('pointerdown', (event) => { this.from = event; });
    node.addEventListener('pointerup', (event) => this.finish(event));
    node.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  private finish(event: PointerEvent): void {
    const from = this.from;
    this.from = null;
    if (!from || !this.item) return;
    const at = this.panel.toPixel(event), start = this.panel.toPixel(from);
    const far = Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > DRAG;
    if (far) void this.editor.add([], orderCorners(start, at));
    else if (event.button === 2 || event.altKey) void this.editor.improve(at, false);
    else if (event.shiftKey) void this.editor.improve(at, true);
    else this.tap(at, event.target as Element);
  }

  /** A tap on a mask chooses it, and in a correction a second one accepts or rejects it; elsewhere it adds an object. */
  private tap(at: Point, target: Element): void {
    const hit = this.editor.findMaskAt(target);
    if (hit < 0 || (!this.isCorrection && this.editor.masks[hit]?.index !== undefined)) void this.editor.add([[...at, true]], null);
    else if (hit === this.editor.active) this.editor.toggleAccepted(hit);
    else this.editor.select(hit);
  }

  private draw(): void {
    this.panel.clear();
    this.editor.masks.forEach((mask, at) => {
      const kind = `${mask.accepted ? 'own' : 'out'}${at === this.editor.active ? ' active' : ''}${mask.group ? ' grouped' : ''}`;
      this.panel.drawMask(mask, kind).setAttribute('data-at', String(at));
      if (mask.accepted) this.panel.drawBox(mask.box, kind);
    });
    this.drawMarks();
  }

  private drawMarks(): void {
    const size = 7 * this.panel.scale, layer = this.panel.drawing;
    for (const [x, y, positive] of this.editor.current?.clicks ?? []) {
      appendSvg(layer, 'circle', { cx: x, cy: y, r: size, class: positive ? 'dot plus' : 'dot minus' });
    }
    for (const at of [this.corner, this.cross]) {
      if (at) appendSvg(layer, 'path', { d: `M${at[0] - 2 * size} ${at[1]}h${4 * size}M${at[0]} ${at[1] - 2 * size}v${4 * size}`, class: 'cross' });
    }
  }
}

function orderCorners([ax, ay]: Point, [bx, by]: Point): Box {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}
