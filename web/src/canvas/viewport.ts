// Where the image is on the screen, and which of its pixels is under the pointer.
import { limitNumber } from '../dom.ts';
import type { Point } from './types.ts';

interface Place {
  clientX: number;
  clientY: number;
}

export class Viewport {
  width = 0;
  height = 0;
  /** Pixels of the screen, where the zoom has set it: whoever asked the browser would make it lay out in the middle of a frame. */
  shownWidth: number | null = null;

  constructor(readonly frame: HTMLElement) {}

  setImageSize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.frame.style.setProperty('--ratio', String(width / Math.max(1, height)));
  }

  /** Pixels of the image per pixel of the screen. */
  get scale(): number {
    return this.width / Math.max(1, this.shownWidth ?? this.frame.getBoundingClientRect().width);
  }

  /** The pixel at a place of the window; at the edge for one outside the image. */
  toPixel({ clientX, clientY }: Place): Point {
    const box = this.frame.getBoundingClientRect();
    return this.limitPixel([
      Math.floor((clientX - box.left) / box.width * this.width),
      Math.floor((clientY - box.top) / box.height * this.height),
    ]);
  }

  /** The place in the image, in pixels and their parts; it may lie outside. */
  toPlace({ clientX, clientY }: Place): Point {
    const box = this.frame.getBoundingClientRect();
    return [(clientX - box.left) / box.width * this.width, (clientY - box.top) / box.height * this.height];
  }

  toWindow([x, y]: Point): Point {
    const box = this.frame.getBoundingClientRect();
    return [box.left + x / this.width * box.width, box.top + y / this.height * box.height];
  }

  limitPixel([x, y]: Point): Point {
    return [limitNumber(x, 0, this.width - 1), limitNumber(y, 0, this.height - 1)];
  }

  /** Put a node of the frame at a pixel. */
  placeNode(node: HTMLElement, pixel: Point): void {
    const { x, y } = this.toPercent(pixel);
    node.style.left = x;
    node.style.top = y;
  }

  /** How far a pixel is from the frame's left and upper edge, as shares of its width and height: they hold at each zoom. */
  toPercent([x, y]: Point): { x: string; y: string } {
    return { x: `${x / this.width * 100}%`, y: `${y / this.height * 100}%` };
  }
}
