// Draws an item: its image, or a part of it, and masks as outlines over it.
import { appendSvg, setAttributes } from '../canvas/svg.ts';
import { makeNode } from '../dom.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { Cut, ImageShelf } from './images.ts';
import type { Item, MaskView } from './types.ts';

const NAMESPACE = 'http://www.w3.org/2000/svg';

export function getWhole({ image }: Item): Box {
  return [0, 0, image.width, image.height];
}

/** A part of an item's image with a drawing of masks over it, in pixels of the whole image. */
export class Panel {
  readonly node = makeNode('div', 'panel');
  readonly drawing = document.createElementNS(NAMESPACE, 'svg') as SVGSVGElement;
  private readonly canvas = makeNode('canvas');
  private box: Box = [0, 0, 1, 1];
  private serial = 0;

  constructor(private readonly shelf: ImageShelf, private readonly side: number) {
    this.node.append(this.canvas, this.drawing);
    setAttributes(this.canvas, { 'aria-hidden': 'true' });
    setAttributes(this.drawing, { 'aria-hidden': 'true' });
  }

  /** Show a part of an item's image. Resolves once it is drawn: to false where another one is shown meanwhile. */
  async show(item: Item, box: Box): Promise<boolean> {
    const serial = ++this.serial;
    this.box = box;
    this.node.classList.remove('failed');
    setAttributes(this.drawing, { viewBox: `${box[0]} ${box[1]} ${box[2] - box[0]} ${box[3] - box[1]}` });
    this.node.style.setProperty('--ratio', String((box[2] - box[0]) / (box[3] - box[1])));
    this.drawing.replaceChildren();
    this.canvas.hidden = true; // until it is there: nobody shall judge a mask on another image
    const made = await this.shelf.load(item.image, box, this.side, true).catch((error: Error) => error);
    if (serial !== this.serial) return false;
    if (made instanceof Error) this.showFailure(made.message);
    else this.drawImage(made);
    return true;
  }

  private drawImage({ bitmap, part: [x0, y0, x1, y1] }: Cut): void {
    const width = x1 - x0, height = y1 - y0;
    Object.assign(this.canvas, { width, height, hidden: false });
    this.canvas.getContext('2d')?.drawImage(bitmap, x0, y0, width, height, 0, 0, width, height);
    this.node.replaceChildren(this.canvas, this.drawing);
  }

  private showFailure(message: string): void {
    this.node.classList.add('failed');
    this.node.replaceChildren(makeNode('p', 'notice', message), this.drawing);
  }

  drawMask(mask: MaskView, kind: string): SVGElement {
    appendSvg(this.drawing, 'path', { d: mask.path, class: `rim ${kind}` });
    return appendSvg(this.drawing, 'path', { d: mask.path, class: `mask ${kind}`, 'fill-rule': 'evenodd' });
  }

  drawBox([x0, y0, x1, y1]: Box, kind: string): void {
    for (const at of ['rim', 'box']) {
      appendSvg(this.drawing, 'rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: `${at} ${kind}` });
    }
  }

  clear(): void {
    this.drawing.replaceChildren();
  }

  /** Pixels of the image per pixel of the screen. */
  get scale(): number {
    return (this.box[2] - this.box[0]) / Math.max(1, this.drawing.clientWidth);
  }

  /** The pixel of the image under a place of the window. */
  toPixel({ clientX, clientY }: { clientX: number; clientY: number }): Point {
    const seen = this.drawing.getBoundingClientRect(), [x0, y0, x1, y1] = this.box;
    const x = x0 + (clientX - seen.left) / seen.width * (x1 - x0), y = y0 + (clientY - seen.top) / seen.height * (y1 - y0);
    return [Math.min(Math.max(x, x0), x1 - 1), Math.min(Math.max(y, y0), y1 - 1)];
  }
}
