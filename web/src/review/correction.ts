// Correction: the page's work area with all masks of a pair. What is rejected or a group is said by a mask's label.
import stageHtml from '../../../demo/web/stage.html';
import { makeNode } from '../dom.ts';
import { connectStudio } from '../studio/connect.ts';
import { EMPTY_VALUE } from '../studio/types.ts';
import { SCENE_SIDE } from './images.ts';
import { getWhole } from './scene.ts';
import { listRefusals, type Area, type Command, type Desk, type Screen } from './screen.ts';
import { WorkServer } from './work_server.ts';
import type { LocalMask } from '../studio/edits/local.ts';
import type { Studio } from '../studio/studio.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { MaskRow } from '../studio/types.ts';
import { GROUP, REJECTED, REMEMBERED, type Item } from './types.ts';

export class CorrectionScreen implements Screen, Area {
  readonly node = makeNode('div', 'correction');
  readonly commands: Command[];
  private readonly studio: Studio;
  private readonly server = new WorkServer(() => this.item, () => this.studio);
  private readonly props: Record<string, unknown> = { value: EMPTY_VALUE };
  private item: Item | null = null;
  private isSending = false;
  /** The masks of which the person was told that leaving drops them. */
  private warnedOf: MaskRow[] | null = null;
  /** The masks that were sent of the latest items: whoever takes such an answer back goes on with them. */
  private readonly sent = new Map<number, MaskRow[]>();

  constructor(private readonly desk: Desk) {
    this.node.innerHTML = stageHtml;
    this.studio = connectStudio({
      element: this.node, props: this.props, server: this.server.functions, imageSide: SCENE_SIDE, trigger: () => {}, watch: () => {},
    });
    const say = (choice: string, reason = ''): void => {
      if (this.item && this.isShown && this.mayLeave()) desk.decide([{ item: this.item.id, choice, reason }]);
    };
    this.commands = [
      { key: 'Enter', word: 'done, all are there', kind: 'good', run: () => void this.send(true) },
      { key: 'I', word: 'done, not all', kind: 'bad', run: () => void this.send(false) },
      { key: 'D', word: 'accept or reject the mask', run: () => this.toggleLabel(REJECTED) },
      { key: 'J', word: 'group', run: () => this.toggleLabel(GROUP) },
      ...listRefusals(say, { V: 'Y' }), // V is a tool of the work area
    ];
    this.node.addEventListener('keydown', (event) => this.takeKey(event), { capture: true });
  }

  prepare([item]: Item[]): void {
    if (item) void this.desk.shelf.load(item.image, getWhole(item), SCENE_SIDE).catch(() => {});
  }

  async show([item]: Item[]): Promise<void> {
    if (!item) return;
    this.item = item;
    this.warnedOf = null;
    this.node.dataset.item = ''; // nobody corrects what they cannot see yet
    const { width, height } = item.image, key = this.server.nameImage(item);
    const loading = this.server.loadImage(item).catch((error: Error) => this.desk.tell(error.message));
    await this.studio.showWork({ ...EMPTY_VALUE, serial: 1, key, name: item.phrase, width, height, masks: this.sent.get(item.id) ?? item.rows });
    await loading;
    if (item !== this.item) return;
    this.node.dataset.item = String(item.id);
    this.studio.frame.focus({ preventScroll: true });
  }

  private get isShown(): boolean {
    return this.node.dataset.item !== '';
  }

  // what another screen begins here

  addAt(at: Point): void {
    this.studio.clicks.handle(at);
  }

  addBox(box: Box): void {
    this.studio.clicks.askBox([box[0], box[1]], [box[2], box[3]]);
  }

  markGroup(index: number): void {
    this.relabel([index + 1], GROUP);
  }

  // what the person does

  /** A key that came to no part of the work area: the image has it from now on. */
  handleKey(event: KeyboardEvent): boolean {
    const { frame } = this.studio;
    if (!this.isShown) return true;
    if (event.target instanceof HTMLInputElement || (event.target instanceof Node && frame.contains(event.target))) return false;
    frame.focus({ preventScroll: true });
    return !frame.dispatchEvent(new KeyboardEvent('keydown', { key: event.key, code: event.code, shiftKey: event.shiftKey, cancelable: true }));
  }

  /** Keys that mean something else while the work area rests, before its tools see them. */
  private takeKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.studio.frame) return;
    const { state } = this.studio, key = event.key.toLowerCase(), isIdle = !state.cross && !this.studio.isDrawing;
    if (!this.isShown) event.stopPropagation();
    else if (key === 'enter' && (isIdle || event.shiftKey)) void (event.repeat || this.send(true));
    else if (key === 'escape' && isIdle && state.value.active === null) this.leave();
    else if (event.key !== 'Tab' || !this.step(event.shiftKey ? -1 : 1)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  leave(): void {
    if (this.mayLeave()) this.desk.leave();
  }

  /** Whether nothing would be lost, or the person has heard what; else say it. */
  mayLeave(): boolean {
    const { masks } = this.studio.getValue();
    if (!this.hasWork || this.warnedOf === masks) return true;
    this.warnedOf = masks;
    this.desk.tell('Do that once more to leave the correction; what you have done here is dropped then.');
    return false;
  }

  get hasWork(): boolean {
    return this.isShown && this.studio.hasWork;
  }

  /** Take back what was done last here; whether there was something. */
  takeBack(): boolean {
    const { hasWork } = this;
    if (hasWork) this.studio.sendEdit({ kind: 'undo' });
    this.warnedOf = null;
    return hasWork;
  }

  /** Choose the mask before or after the chosen one, by number; false where there is none, and the focus goes on. */
  private step(way: 1 | -1): boolean {
    const ids = this.studio.state.listShown().map((mask) => mask.id).sort((a, b) => a - b), { active } = this.studio.state.value;
    const at = active === null ? (way === 1 ? 0 : -1) : ids.indexOf(active) + way, next = ids[at];
    if (active !== null || next !== undefined) this.studio.chooseMask(next ?? null);
    return next !== undefined;
  }

  private toggleLabel(label: string): void {
    const { state } = this.studio, mask = state.findMask(state.value.active);
    if (mask) this.relabel([mask.id], mask.label === label ? '' : label);
    else this.studio.refuse('Choose a mask first: with Tab, or by a click on it.');
  }

  private relabel(ids: number[], label: string): void {
    this.studio.sendEdit({ kind: 'relabel', ids, label });
  }

  private async send(exhaustive: boolean): Promise<void> {
    const { item } = this;
    if (!item || this.isSending || !this.isShown) return;
    this.isSending = true;
    await this.studio.settleEdits(); // a click may still be on its way
    this.isSending = false;
    if (item !== this.item) return;
    this.sent.delete(item.id); // the latest one is the last
    this.sent.set(item.id, this.studio.getValue().masks);
    for (const id of [...this.sent.keys()].slice(0, -REMEMBERED)) this.sent.delete(id);
    this.desk.decide([{ item: item.id, choice: 'corrected', content: this.buildContent(item, exhaustive) }]);
  }

  /** What is right, as the server takes it: masks of the proposal by their place, others by their run lengths. */
  private buildContent(item: Item, exhaustive: boolean): string {
    const proposed = new Map(item.rows.map((row) => [row.id, row.counts]));
    const kept = this.studio.getValue().masks as LocalMask[];
    const masks = kept.filter((mask) => mask.label !== REJECTED).map(({ id, counts, label }) => {
      const group = label === GROUP;
      return proposed.get(id) === counts ? { index: id - 1, group } : { counts, group };
    });
    return JSON.stringify({ masks, exhaustive });
  }
}
