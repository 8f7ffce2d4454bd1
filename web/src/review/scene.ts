// Draws an item: its image, or a part of it, and masks as outlines over it.
import { appendSvg, setAttributes } from '../canvas/svg.ts';
import { makeNode } from '../dom.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { ImageShelf } from './images.ts';
import type { Item, MaskView } from './types.ts';

export const SCENE_SIDE = 1280;
export const ZOOM_SIDE = 900;
export const CELL_SIDE = 320;
const NAMESPACE = 'http://www.w3.org/2000/svg';

export function getWhole({ image }: Item): Box {
  return [0, 0, image.width, image.height];
}

/** A part of an item's image with a drawing of masks over it, in pixels of the whole image. */
export class Panel {
  readonly node = makeNode('div', 'panel');
  readonly drawing = document.createElementNS(NAMESPACE, 'svg') as SVGSVGElement;
  private box: Box = [0, 0, 1, 1];
  private serial = 0;

  constructor(private readonly shelf: ImageShelf, private readonly side: number) {
    this.node.append(this.drawing);
    setAttributes(this.drawing, { 'aria-hidden': 'true' });
  }

  /** Show a part of an item's image; resolves once it can be seen. */
  async show(item: Item, box: Box): Promise<void> {
    const serial = ++this.serial;
    this.box = box;
    this.node.classList.remove('failed');
    setAttributes(this.drawing, { viewBox: `${box[0]} ${box[1]} ${box[2] - box[0]} ${box[3] - box[1]}` });
    this.node.style.setProperty('--ratio', String((box[2] - box[0]) / (box[3] - box[1])));
    this.drawing.replaceChildren();
    try {
      const image = await this.shelf.load(item.image, box, this.side);
      if (serial === this.serial) this.node.replaceChildren(image.isConnected ? image.cloneNode() : image, this.drawing);
    } catch (error) {
      if (serial !== this.serial) return;
      this.node.classList.add('failed');
      this.node.replaceChildren(makeNode('p', 'notice', (error as Error).message), this.drawing);
    }
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
