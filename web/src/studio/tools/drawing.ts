// The tools that draw: a round brush, an eraser, and polygons. What is drawn is shown at once, and Python makes it a mask.
import { appendSvg, setAttributes } from '../../canvas/svg.ts';
import { findNode, limitNumber } from '../../dom.ts';
import type { Point } from '../../canvas/types.ts';
import type { Studio } from '../studio.ts';

/** Pixels of the screen: the brush's radius, its limits, and how far two of its points are apart at least. */
const FIRST_RADIUS = 12, RADII = [1, 120] as const, SPACING = 1.5;
/** Points of one stroke or polygon, as demo/studio/drawn_edits.py limits them. */
const MOST_POINTS = 3900;
const FEWEST_CORNERS = 3;
/** Screen pixels about the first corner: a click there closes the polygon. */
const CLOSING = 8;

export class DrawingTools {
  private points: Point[] = [];
  private node: SVGElement | null = null;
  /** Pixels of the screen. */
  private radius = FIRST_RADIUS;
  /** Pixels of the image, of the stroke that is being drawn: a zoom or a key in the middle of it changes the next one. */
  private strokeRadius = 0;
  private readonly layer: SVGElement;
  private readonly cursor: SVGElement;

  constructor(private readonly studio: Studio) {
    this.layer = findNode<SVGElement>(studio.stage, '.strokes');
    this.cursor = findNode<SVGElement>(studio.stage, '.brush');
    const slider = findNode<HTMLInputElement>(studio.stage, '.radius input');
    slider.addEventListener('input', () => { this.radius = Number(slider.value); });
  }

  get isBrush(): boolean {
    return this.studio.mode === 'brush' || this.studio.mode === 'eraser';
  }

  get isDrawing(): boolean {
    return this.points.length > 0;
  }

  /** Make the brush larger or smaller. */
  resize(factor: number): void {
    this.radius = limitNumber(this.radius * factor, ...RADII);
    findNode<HTMLInputElement>(this.studio.stage, '.radius input').value = String(this.radius);
    setAttributes(this.cursor, { r: this.imageRadius });
  }

  moveCursor(at: Point | null): void {
    const shown = at !== null && this.isBrush;
    this.cursor.toggleAttribute('hidden', !shown);
    if (shown) setAttributes(this.cursor, { cx: at[0], cy: at[1], r: this.imageRadius });
  }

  beginStroke(at: Point): void {
    this.points = [at];
    this.strokeRadius = this.imageRadius;
    this.node = appendSvg(this.layer, 'polyline', {
      class: this.studio.mode === 'eraser' ? 'stroke erasing' : 'stroke',
      'stroke-width': 2 * this.strokeRadius,
    });
    this.node.style.setProperty('--color', this.studio.state.findMask(this.studio.state.object.active)?.color ?? '#fff');
    this.showPoints(at);
  }

  continueStroke(at: Point): void {
    const last = this.points.at(-1);
    if (!last || Math.hypot(at[0] - last[0], at[1] - last[1]) < SPACING * this.studio.viewport.scale) return;
    this.points.push(at);
    this.showPoints(at);
    if (this.points.length < MOST_POINTS) return;
    this.endStroke();
    this.beginStroke(at);
  }

  endStroke(): void {
    const { points, studio } = this, { object } = studio.state;
    if (!points.length) return;
    this.points = [];
    this.node = null;
    const radius = Math.max(0.1, roundNumber(this.strokeRadius)), erase = studio.mode === 'eraser';
    studio.sendEdit({ kind: 'stroke', points: points.map(roundPoint), radius, object: object.token, active: object.active, erase });
  }

  /** Add a corner of a polygon; a click at the first one closes it. */
  addCorner(at: Point, erase: boolean): void {
    const first = this.points[0];
    if (first && Math.hypot(at[0] - first[0], at[1] - first[1]) < CLOSING * this.studio.viewport.scale) return this.closePolygon(erase);
    if (!this.node) this.node = appendSvg(this.layer, 'polygon', { class: 'band' });
    this.points.push(at);
    this.showPoints(at);
  }

  /** Whether a drawing that begins there would change a locked mask, which the note says then. */
  refuseLocked([x, y]: Point, erase: boolean): boolean {
    const { state: { object }, outlines, viewport } = this.studio;
    const inside = x >= 0 && y >= 0 && x < viewport.width && y < viewport.height;
    return this.studio.refuseLocked(object.active ?? (erase && inside ? outlines.findIdAt([x, y]) : null));
  }

  isLastCorner([x, y]: Point): boolean {
    const last = this.points.at(-1);
    return last !== undefined && last[0] === x && last[1] === y;
  }

  /** Show the edge to where the pointer is. */
  followPolygon(at: Point): void {
    if (this.studio.mode === 'polygon' && this.isDrawing) this.showPoints(at);
  }

  dropCorner(): void {
    this.points.pop();
    if (this.points.length) this.showPoints(this.points.at(-1)!);
    else this.cancel();
  }

  closePolygon(erase: boolean): void {
    const { studio } = this, { object, extends: extend } = studio.state;
    const points = this.points.filter((point, at) => at === 0 || point.join() !== this.points[at - 1]!.join()); // a double click makes two
    this.cancel();
    if (points.length < FEWEST_CORNERS) return studio.refuse('A polygon has three corners or more. Click them one after the other.');
    if (this.refuseLocked(points[0]!, erase)) return;
    studio.sendEdit({ kind: 'polygon', points: points.map(roundPoint), object: object.token, active: object.active, erase, extend });
  }

  cancel(): void {
    this.points = [];
    this.node?.remove();
    this.node = null;
  }

  /** Remove what was drawn, now that the masks show it. */
  clear(): void {
    for (const node of [...this.layer.children]) if (node !== this.node) node.remove();
  }

  private get imageRadius(): number {
    return this.radius * this.studio.viewport.scale;
  }

  private showPoints(pointer: Point): void {
    const shown = [...this.points, pointer];
    if (this.node) setAttributes(this.node, { points: shown.map((point) => roundPoint(point).join()).join(' ') });
  }
}

function roundNumber(value: number): number {
  return Math.round(value * 10) / 10;
}

function roundPoint([x, y]: Point): Point {
  return [roundNumber(x), roundNumber(y)];
}
