// Images of items, fetched and decoded before they are shown.
import { getBlob } from './server.ts';
import type { Box } from '../canvas/types.ts';
import type { ImageRef } from './types.ts';

/** Long sides that the server sends at most: of a scene, of a close-up, of a cell. */
export const SCENE_SIDE = 1280;
export const ZOOM_SIDE = 900;
export const CELL_SIDE = 320;
/** Pixels that are held decoded: 4 bytes each. */
const MAX_PIXELS = 48 * 2 ** 20;
/** Fewer than a browser's six connections: answers must not wait for images. */
const MAX_FETCHES = 3;

/** A part of a decoded image, in its pixels. */
export interface Cut {
  bitmap: ImageBitmap;
  part: Box;
}

interface Held {
  made: Promise<ImageBitmap>;
  pixels: number;
}

interface Waiting {
  path: string;
  begin: () => void;
}

export class ImageShelf {
  private readonly held = new Map<string, Held>();
  private waiting: Waiting[] = [];
  private fetches = 0;

  /** Begin to fetch a part of an image, unless it is here; resolves once it is decoded. `first`: before all others. */
  async load(image: ImageRef, box: Box, side: number, first = false): Promise<Cut> {
    // a close-up of what is sent whole needs no request of its own
    if (side > CELL_SIDE && Math.max(image.width, image.height) <= SCENE_SIDE) {
      return { bitmap: await this.fetch(image, [0, 0, image.width, image.height], SCENE_SIDE, first), part: box };
    }
    const bitmap = await this.fetch(image, box, side, first);
    return { bitmap, part: [0, 0, bitmap.width, bitmap.height] };
  }

  private fetch(image: ImageRef, box: Box, side: number, first: boolean): Promise<ImageBitmap> {
    const path = `/api/images/${image.key}?box=${box.join(',')}&side=${side}`;
    const found = this.held.get(path) ?? this.begin(path);
    this.held.delete(path);
    this.held.set(path, found);
    if (first) this.waiting.sort((one, other) => Number(other.path === path) - Number(one.path === path));
    this.beginNext();
    return found.made;
  }

  private begin(path: string): Held {
    const turn = new Promise<void>((begin) => this.waiting.push({ path, begin }));
    const held: Held = { made: turn.then(() => this.decode(path, held)), pixels: 0 };
    held.made.catch(() => this.held.delete(path));
    return held;
  }

  private beginNext(): void {
    while (this.fetches < MAX_FETCHES && this.waiting.length) {
      this.fetches += 1;
      this.waiting.shift()?.begin();
    }
  }

  private async decode(path: string, held: Held): Promise<ImageBitmap> {
    try {
      const bitmap = await createImageBitmap(await getBlob(path));
      held.pixels = bitmap.width * bitmap.height;
      this.dropOldest();
      return bitmap;
    } finally {
      this.fetches -= 1;
      this.beginNext();
    }
  }

  private dropOldest(): void {
    let pixels = Array.from(this.held.values()).reduce((sum, one) => sum + one.pixels, 0);
    for (const [path, one] of this.held) {
      if (pixels <= MAX_PIXELS) return;
      if (!one.pixels) continue;
      pixels -= one.pixels;
      this.held.delete(path); // not closed: somebody may be about to draw it
    }
  }
}
