// Draws what lies on top of the masks: clicks, the cross of the keyboard, and the band of a box.
import { formatPlace } from './outlines.ts';
import { appendSvg } from './svg.ts';
import type { Point, SignedPoint } from './types.ts';
import type { Viewport } from './viewport.ts';

export class MarkLayer {
  constructor(private readonly viewport: Viewport, private readonly group: SVGElement) {}

  draw(points: SignedPoint[], cross: Point | null): void {
    this.group.replaceChildren();
    for (const point of points) this.drawPoint(point);
    if (cross) this.drawCross(cross);
  }

  drawPoint([x, y, positive]: SignedPoint): void {
    const transform = formatPlace([x, y], this.viewport.scale);
    const at = appendSvg(this.group, 'g', { class: positive ? 'dot plus' : 'dot minus', transform });
    appendSvg(at, 'circle', { r: 7 });
    appendSvg(at, 'path', { d: positive ? 'M-3.5 0h7M0-3.5v7' : 'M-3.5 0h7' });
  }

  drawBand(from: Point, to: Point): void {
    this.group.querySelector('.band')?.remove();
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    appendSvg(this.group, 'rect', { class: 'band', x, y, width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) });
  }

  private drawCross([x, y]: Point): void {
    const reach = 9 * this.viewport.scale;
    appendSvg(this.group, 'path', { d: `M${x - reach} ${y}h${2 * reach}M${x} ${y - reach}v${2 * reach}`, class: 'cross' });
  }
}
