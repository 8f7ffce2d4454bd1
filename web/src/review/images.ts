// Images of items, fetched and decoded before they are shown.
import { getBlob } from './server.ts';
import type { Box } from '../canvas/types.ts';
import type { ImageRef } from './types.ts';

const HELD = 160;

export class ImageShelf {
  private readonly held = new Map<string, Promise<HTMLImageElement>>();

  /** Begin to fetch a part of an image, unless it is here; resolves once it is decoded. */
  load(image: ImageRef, box: Box, side: number): Promise<HTMLImageElement> {
    const path = `/api/images/${image.key}?box=${box.join(',')}&side=${side}`;
    const found = this.held.get(path) ?? this.fetch(path);
    this.held.delete(path);
    this.held.set(path, found);
    this.dropOldest();
    return found;
  }

  private fetch(path: string): Promise<HTMLImageElement> {
    const made = this.decode(path);
    made.catch(() => this.held.delete(path));
    return made;
  }

  private async decode(path: string): Promise<HTMLImageElement> {
    const image = new Image();
    image.src = URL.createObjectURL(await getBlob(path));
    image.alt = '';
    image.draggable = false;
    await image.decode();
    return image;
  }

  private dropOldest(): void {
    for (const [path, made] of this.held) {
      if (this.held.size <= HELD) return;
      this.held.delete(path);
      made.then((image) => { if (!image.isConnected) URL.revokeObjectURL(image.src); }, () => {});
    }
  }
}
