// Draws what lies on top of the masks: clicks, the cross of the keyboard, and the band of a box.
import { appendSvg } from './svg.ts';
import type { Point, SignedPoint } from './types.ts';
import type { Viewport } from './viewport.ts';

export class MarkLayer {
  /** `pins` takes what keeps its size on the screen, `group` what is drawn in pixels of the image. */
  constructor(private readonly viewport: Viewport, private readonly pins: SVGElement, private readonly group: SVGElement) {}

  draw(points: SignedPoint[], cross: Point | null): void {
    this.pins.replaceChildren();
    this.group.replaceChildren();
    for (const point of points) this.drawPoint(point);
    if (cross) this.drawCross(cross);
  }

  drawPoint([x, y, positive]: SignedPoint): void {
    const at = appendSvg(this.pins, 'svg', { class: positive ? 'dot plus' : 'dot minus', ...this.viewport.toPercent([x, y]) });
    appendSvg(at, 'circle', { r: 7 });
    appendSvg(at, 'path', { d: positive ? 'M-3.5 0h7M0-3.5v7' : 'M-3.5 0h7' });
  }

  drawBand(from: Point, to: Point): void {
    this.group.querySelector('.band')?.remove();
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    appendSvg(this.group, 'rect', { class: 'band', x, y, width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) });
  }

  private drawCross(pixel: Point): void {
    const at = appendSvg(this.pins, 'svg', { class: 'cross', ...this.viewport.toPercent(pixel) });
    appendSvg(at, 'path', { d: 'M-9 0h18M0-9v18' });
  }
}
