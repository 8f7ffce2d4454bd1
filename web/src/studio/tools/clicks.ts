// What a click or a drawn box on the image means, by the tool.
import type { Studio } from '../studio.ts';
import type { Box, Point } from '../types.ts';

/** Pixels of an edge: a box that is smaller is a double click. */
const SMALLEST_BOX = 3;

export class ClickTool {
  constructor(private readonly studio: Studio) {}

  handle(at: Point, { minus = false, extend = false } = {}): void {
    const { state } = this.studio;
    if (state.value.busy) return;
    if (state.merging) return this.mergeWith(this.studio.outlines.findIdAt(at));
    switch (this.studio.mode) {
      case 'brush': case 'eraser': return this.drawAt(at);
      case 'polygon': return this.studio.drawing.addCorner(at, minus);
      case 'hand': return;
      case 'smart': return this.clickSmart(at, minus, extend || state.extends);
      case 'select': return this.studio.chooseMask(this.studio.outlines.findIdAt(at));
      case 'add': return this.sendPoint(at, !minus, extend || state.extends);
      case 'remove': return this.sendPoint(at, false, false);
      case 'box':
        if (state.corner) return this.sendBox(state.corner, at);
        state.corner = at;
        this.studio.panels.drawHint();
        this.studio.marks.drawBand(at, at);
    }
  }

  /** The first click on a mask chooses it; further ones correct it. Elsewhere a click finds an object. */
  private clickSmart(at: Point, minus: boolean, extend: boolean): void {
    const { active } = this.studio.state.value, over = this.studio.outlines.findIdAt(at);
    if (over !== null && over !== active && !minus && !extend && !this.studio.state.object.fresh) return this.studio.chooseMask(over);
    this.sendPoint(at, !minus, extend);
  }

  /** A dot of the brush, for whoever has no pointer. */
  private drawAt(at: Point): void {
    if (this.studio.drawing.refuseLocked(at, this.studio.mode === 'eraser')) return;
    this.studio.drawing.beginStroke(at);
    this.studio.drawing.endStroke();
  }

  private mergeWith(id: number | null): void {
    const { state } = this.studio, { active } = state.value;
    state.merging = false;
    if (id !== null && active !== null && id !== active) this.studio.mend('merge', [active, id]);
    else this.studio.refuse('Nothing was merged: there is no other mask at this place.');
  }

  private sendPoint([x, y]: Point, positive: boolean, extend: boolean): void {
    if (this.studio.refuseLocked(this.studio.outlines.findIdAt([x, y])) || (extend && this.studio.refuseLocked(this.studio.state.object.active))) return;
    const { object, frame } = this.studio.state;
    this.studio.marks.drawPoint([x, y, positive]);
    this.studio.sendEdit({ kind: 'point', x, y, positive, extend, object: object.token, active: object.active, new: object.fresh, frame });
  }

  sendBox(from: Point, to: Point): void {
    const box = spanBox(from, to);
    this.studio.state.corner = null;
    if (box) this.studio.sendEdit({ kind: 'box', box, meaning: 'alike', frame: this.studio.state.frame });
    this.studio.draw();
  }

  /** Ask what the box means that was drawn. */
  askBox(from: Point, to: Point): void {
    const box = spanBox(from, to);
    if (!box) return this.studio.draw();
    this.studio.marks.drawBand(from, to);
    this.studio.question.ask(box);
  }
}

/** The box between two pixels; null for what is too small to be meant. */
function spanBox(from: Point, to: Point): Box | null {
  const box: Box = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
  return box[2] - box[0] < SMALLEST_BOX || box[3] - box[1] < SMALLEST_BOX ? null : box;
}
