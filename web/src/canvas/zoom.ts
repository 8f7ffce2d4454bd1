// How large the image is shown, and which part of it: the frame grows beyond the well that cuts it off.
import { limitNumber } from '../dom.ts';
import type { Point } from './types.ts';
import type { Viewport } from './viewport.ts';

/** Screen pixels of an image pixel at most; a small image may be eight times as large as it fits. */
const MOST_SCALE = 8, MOST_ZOOM = 8;
/** Screen pixels of the short side of an image that is shown first: nobody would see a strip that fits. */
const LEAST_SIDE = 16;
/** Times as large by one press of a key or button. */
const KEY_STEP = 1.25;
/** Milliseconds of rest after which the frame is drawn anew at its size, and the factor from which on that does not wait. */
const REST = 200, MOST_STRETCH = 2;

export class Zoom {
  /** Where the frame's left upper corner is in the well, and its width; null while the whole image fits the well. */
  private place: { left: number; top: number; width: number } | null = null;
  /** Pixels of the screen for which the frame is drawn. While it is zoomed it is stretched, which costs the browser little. */
  private drawnWidth: number | null = null;
  private timer = 0;

  constructor(private readonly viewport: Viewport, readonly well: HTMLElement, private readonly notice: () => void) {
    new ResizeObserver(() => this.apply(this.place)).observe(well);
  }

  /** Screen pixels (of CSS) per image pixel. */
  get scale(): number {
    return 1 / this.viewport.scale;
  }

  get isFit(): boolean {
    return this.place === null;
  }

  fit(): void {
    this.apply(null);
  }

  /** Show an image for the first time: all of it, or the middle of one that would be thinner than a line. */
  begin(): void {
    this.fit();
    const short = Math.min(this.viewport.width, this.viewport.height);
    if (short && short * this.scale < LEAST_SIDE) this.zoomTo(LEAST_SIDE / short, this.middle);
  }

  /** Show one image pixel as one screen pixel, also of an image that would fit larger. */
  showActualSize(): void {
    const { width, height } = this.viewport;
    if (width >= this.fitWidth) this.zoomTo(1, this.middle);
    else this.apply({ width, left: (this.well.clientWidth - width) / 2, top: (this.well.clientHeight - height) / 2 });
    this.drawAnew();
  }

  step(way: 1 | -1, at: Point = this.middle): void {
    this.zoomBy(KEY_STEP ** way, at);
  }

  /** Zoom by a factor about a place of the window, which stays where it is. */
  zoomBy(factor: number, at: Point): void {
    this.zoomTo(this.scale * factor, at);
  }

  zoomTo(scale: number, [x, y]: Point): void {
    const well = this.well.getBoundingClientRect(), frame = this.viewport.frame.getBoundingClientRect();
    const short = Math.min(this.viewport.width, this.viewport.height);
    const most = Math.max(MOST_SCALE, this.fitWidth / this.viewport.width * MOST_ZOOM, LEAST_SIDE / short);
    const width = limitNumber(scale, 0, most) * this.viewport.width, factor = width / Math.max(1, frame.width);
    if (factor < 1 && frame.width < this.fitWidth) return; // the actual size of a small image
    if (width <= this.fitWidth * 1.001) return this.fit();
    this.apply({ width, left: x - well.left - (x - frame.left) * factor, top: y - well.top - (y - frame.top) * factor });
  }

  panBy(right: number, down: number): void {
    if (this.place) this.apply({ ...this.place, left: this.place.left + right, top: this.place.top + down });
  }

  /** The place in the image, in pixels and their parts, that is at a place of the window. */
  findPlace([clientX, clientY]: Point): Point {
    return this.viewport.toPlace({ clientX, clientY });
  }

  /** Move the image so that a place in it comes to a place of the window; what fits the well cannot be moved. */
  bringPlace(place: Point, at: Point): void {
    const [x, y] = this.viewport.toWindow(place);
    this.panBy(at[0] - x, at[1] - y);
  }

  /** Move the image until a pixel of it is well inside the well. */
  reveal(pixel: Point): void {
    if (!this.place) return;
    const [x, y] = this.viewport.toWindow(pixel), box = this.well.getBoundingClientRect(), room = Math.min(box.width, box.height) / 8;
    this.panBy(limitNumber(x, box.left + room, box.right - room) - x, limitNumber(y, box.top + room, box.bottom - room) - y);
  }

  private get middle(): Point {
    const box = this.well.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }

  private get fitWidth(): number {
    const { width, height } = this.viewport;
    return Math.min(this.well.clientWidth, this.well.clientHeight * width / Math.max(1, height));
  }

  private apply(place: Zoom['place']): void {
    const { frame, width, height } = this.viewport;
    this.place = place && (place.width > this.fitWidth || place.width === width) ? place : null;
    this.viewport.shownWidth = this.place?.width ?? null;
    if (this.place) {
      const wide = this.place.width, high = wide * height / width;
      this.place.left = limitEdge(this.place.left, wide, this.well.clientWidth);
      this.place.top = limitEdge(this.place.top, high, this.well.clientHeight);
      this.stretch(this.place, this.drawnWidth ?? this.fitWidth);
    } else {
      this.drawnWidth = null;
      frame.style.width = frame.style.transform = '';
    }
    this.well.dataset.zoomed = this.place ? 'yes' : 'no';
    this.notice();
  }

  /** Show a frame that is drawn for a width at its place, and draw it anew when the zoom rests or has gone far. */
  private stretch({ left, top, width }: NonNullable<Zoom['place']>, drawn: number): void {
    const factor = width / drawn, { style } = this.viewport.frame;
    clearTimeout(this.timer);
    if (factor === 1 || Math.max(factor, 1 / factor) > MOST_STRETCH) {
      this.drawnWidth = width;
      style.width = `${width}px`;
      style.transform = `translate(${alignPixel(left)}px, ${alignPixel(top)}px)`;
    } else {
      this.drawnWidth = drawn;
      style.width = `${drawn}px`;
      style.transform = `translate(${left}px, ${top}px) scale(${factor})`;
      this.timer = window.setTimeout(() => this.drawAnew(), REST);
    }
  }

  private drawAnew(): void {
    if (this.place) this.stretch(this.place, this.place.width);
  }
}

/** The nearest place between two pixels of the screen: an image that lies across them is blurred. */
function alignPixel(place: number): number {
  return Math.round(place * devicePixelRatio) / devicePixelRatio;
}

/** Where an axis of the image begins: never with room beside the image while it is larger than the well. */
function limitEdge(edge: number, length: number, room: number): number {
  return length <= room ? (room - length) / 2 : limitNumber(edge, room - length, 0);
}
