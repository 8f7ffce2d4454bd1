// The bars about the image: which buttons can be pressed, the chosen object, and the hint.
import { findNode, setText } from '../dom.ts';
import { EDITING, HINTS } from './modes.ts';
import type { Studio } from './studio.ts';

export class Panels {
  constructor(private readonly studio: Studio) {}

  draw(): void {
    this.drawButtons();
    this.drawHint();
  }

  private drawButtons(): void {
    const { value, object, extends: pressed } = this.studio.state, adds = EDITING.includes(this.studio.mode);
    const find = (act: string) => findNode<HTMLButtonElement>(this.studio.stage, `[data-do=${act}]`);
    for (const act of ['fresh', 'extend']) find(act).hidden = !adds;
    this.drawObject();
    find('fresh').disabled = value.active === null && !object.fresh;
    find('extend').disabled = value.active === null;
    find('extend').setAttribute('aria-pressed', String(pressed));
    find('compare').setAttribute('aria-pressed', String(this.studio.state.compared));
    find('undo').disabled = !value.canUndo || value.busy;
    find('redo').disabled = !value.canRedo || value.busy;
    find('drop').disabled = !this.studio.state.findMask(value.active)?.selected || value.busy;
  }

  /** The bar of the chosen object. */
  private drawObject(): void {
    const bar = findNode(this.studio.stage, '.object'), mask = this.studio.state.findMask(this.studio.state.value.active);
    bar.hidden = !mask && !this.studio.state.object.fresh && !this.studio.drawing.isBrush;
    const chip = findNode(bar, '.chip');
    chip.hidden = !mask;
    setText(chip, mask ? String(mask.id) : '');
    chip.style.background = mask?.color ?? '';
    chip.style.color = mask?.ink ?? '';
    for (const one of bar.querySelectorAll<HTMLElement>('.of-mask')) one.hidden = !mask;
    const find = (act: string) => findNode<HTMLButtonElement>(bar, `[data-do=${act}]`);
    find('merge').setAttribute('aria-pressed', String(this.studio.state.merging));
    find('lock').setAttribute('aria-pressed', String(mask !== undefined && this.studio.state.locked.has(mask.id)));
    const hidden = findNode<HTMLButtonElement>(this.studio.stage, '[data-do=reveal]'), count = this.studio.state.hidden.size;
    hidden.hidden = count === 0;
    hidden.textContent = `Show ${count} hidden`;
    setText(findNode(bar, '.name'), mask ? mask.phrase : 'New object');
  }

  drawHint(): void {
    const { value, note, corner } = this.studio.state, hint = findNode(this.studio.stage, '.hint');
    const own = corner ? 'Now the opposite corner.' : this.studio.state.merging ? 'Click the mask that belongs to it.' : HINTS[this.studio.mode];
    setText(hint, value.busy ? value.progress : note || own);
    hint.classList.toggle('refused', Boolean(note) && !value.busy);
    setText(findNode(this.studio.stage, '.threshold output'), this.studio.state.threshold.toFixed(2));
  }
}
