// Asks what a drawn box means: the one object in it, everything like it, or what is to be left out.
import { findNode, limitNumber } from '../../dom.ts';
import type { Studio } from '../studio.ts';
import type { Box, BoxMeaning } from '../types.ts';

/** Pixels between the box and the question. */
const GAP = 8;

export class BoxQuestion {
  private box: Box | null = null;
  private readonly panel: HTMLElement;

  constructor(private readonly studio: Studio) {
    this.panel = findNode(studio.stage, '.question');
    this.panel.addEventListener('click', (event) => {
      const meaning = (event.target as Element).closest<HTMLElement>('[data-mean]')?.dataset.mean;
      if (meaning !== undefined) this.answer(meaning as BoxMeaning | '');
    });
    this.panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.answer(''); });
  }

  get isOpen(): boolean {
    return this.box !== null;
  }

  ask(box: Box): void {
    this.box = box;
    this.panel.hidden = false;
    this.place();
    findNode<HTMLButtonElement>(this.panel, 'button').focus({ preventScroll: true });
  }

  /** Take the answer, '' for none, and go back to the image. */
  answer(meaning: BoxMeaning | ''): void {
    const { box, studio } = this;
    this.close();
    if (box && meaning) studio.sendEdit({ kind: 'box', box, meaning, frame: studio.state.frame });
    studio.frame.focus({ preventScroll: true });
    studio.draw();
  }

  /** Ask no more: another image is shown. */
  close(): void {
    this.box = null;
    this.panel.hidden = true;
  }

  /** Under the box where there is room, else over it. */
  private place(): void {
    if (!this.box) return;
    const { viewport, zoom } = this.studio, well = zoom.well.getBoundingClientRect(), own = this.panel.getBoundingClientRect();
    const [left, top] = viewport.toWindow([this.box[0], this.box[1]]), bottom = viewport.toWindow([this.box[2], this.box[3]])[1];
    const under = bottom - well.top + GAP, over = top - well.top - own.height - GAP;
    this.panel.style.left = `${limitNumber(left - well.left, GAP, Math.max(GAP, well.width - own.width - GAP))}px`;
    this.panel.style.top = `${limitNumber(under + own.height < well.height ? under : over, GAP, Math.max(GAP, well.height - own.height - GAP))}px`;
  }
}
