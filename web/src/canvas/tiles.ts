// Sharp parts of a large image, fetched for what is seen: the browser holds a reduced image of the whole.
import { limitNumber, makeNode } from '../dom.ts';
import type { Viewport } from './viewport.ts';
import type { Zoom } from './zoom.ts';

/** Pixels of a tile's edges, as Python cuts them. */
export const TILE_SIDE = 512;
/** Tiles that the page holds; requests at a time; milliseconds of rest before the first one. */
const MOST_TILES = 80, AT_ONCE = 3, REST = 90;
/** How much sharper a tile has to be than the whole image. */
const SHARPER = 1.05;

export interface Tile {
  /** The image is reduced by 2 to this power. */
  level: number;
  column: number;
  row: number;
}

export class TileLayer {
  private readonly shown = new Map<string, HTMLImageElement | null>();
  private wanted: Tile[] = [];
  private loading = 0;
  private timer = 0;
  private epoch = 0;

  /** `side`: pixels of the long side of the image that the browser has. `load` returns the address of a tile, or ''. */
  constructor(
    private readonly viewport: Viewport,
    private readonly zoom: Zoom,
    private readonly layer: HTMLElement,
    private readonly side: number,
    private readonly load: (tile: Tile) => Promise<string>,
  ) {}

  /** Forget the tiles: another image is shown. */
  clear(): void {
    this.epoch++;
    this.shown.clear();
    this.wanted = [];
    this.layer.replaceChildren();
  }

  /** Fetch what is missing of what is seen now. */
  update(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      const visible = this.listVisible();
      this.keepTiles(visible);
      this.wanted = visible.filter((tile) => !this.shown.has(formatTile(tile)));
      while (this.loading < AT_ONCE && this.wanted.length) void this.loadNext();
    }, REST);
  }

  private listVisible(): Tile[] {
    const { width, height } = this.viewport, sharpness = this.zoom.scale * devicePixelRatio;
    if (!width || sharpness < SHARPER * Math.min(1, this.side / Math.max(width, height))) return [];
    if (Math.max(width, height) <= this.side) return [];
    const level = Math.max(0, Math.floor(Math.log2(1 / sharpness) + 0.01)), step = TILE_SIDE * 2 ** level;
    const well = this.zoom.well.getBoundingClientRect(), frame = this.viewport.frame.getBoundingClientRect();
    const list = (start: number, length: number, pixels: number) => {
      const first = limitNumber(start / this.zoom.scale, 0, pixels - 1), last = limitNumber((start + length) / this.zoom.scale, 0, pixels - 1);
      return Array.from({ length: Math.floor(last / step) - Math.floor(first / step) + 1 }, (_, at) => Math.floor(first / step) + at);
    };
    const columns = list(well.left - frame.left, well.width, width), rows = list(well.top - frame.top, well.height, height);
    const middle = [columns[columns.length >> 1]!, rows[rows.length >> 1]!] as const;
    return rows.flatMap((row) => columns.map((column) => ({ level, column, row })))
      .sort((a, b) => Math.hypot(a.column - middle[0], a.row - middle[1]) - Math.hypot(b.column - middle[0], b.row - middle[1]));
  }

  private async loadNext(): Promise<void> {
    const tile = this.wanted.shift(), epoch = this.epoch;
    if (!tile || this.shown.has(formatTile(tile))) return;
    this.shown.set(formatTile(tile), null);
    this.loading++;
    const url = await this.load(tile).catch(() => '');
    this.loading--;
    if (epoch === this.epoch) {
      if (url) this.shown.set(formatTile(tile), this.append(tile, url));
      else this.shown.delete(formatTile(tile));
    }
    if (this.wanted.length) void this.loadNext();
  }

  private append({ level, column, row }: Tile, url: string): HTMLImageElement {
    const { width, height } = this.viewport, step = TILE_SIDE * 2 ** level, image = makeNode('img');
    image.alt = '';
    image.src = url;
    this.viewport.placeNode(image, [column * step, row * step]);
    image.style.width = `${Math.min(step, width - column * step) / width * 100}%`;
    image.style.height = `${Math.min(step, height - row * step) / height * 100}%`;
    image.style.zIndex = String(-level); // the sharper one lies on top
    this.layer.append(image);
    return image;
  }

  /** Count these tiles as used just now, and forget the oldest ones beyond the limit. */
  private keepTiles(visible: Tile[]): void {
    for (const key of visible.map(formatTile)) {
      const image = this.shown.get(key);
      if (image === undefined) continue;
      this.shown.delete(key);
      this.shown.set(key, image);
    }
    for (const [key, image] of this.shown) {
      if (this.shown.size <= MOST_TILES) return;
      image?.remove();
      this.shown.delete(key);
    }
  }
}

function formatTile({ level, column, row }: Tile): string {
  return `${level}/${column}/${row}`;
}
