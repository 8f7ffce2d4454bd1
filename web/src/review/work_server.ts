// What the work area asks its server, answered by that of the review.
import { TILE_SIDE } from '../canvas/tiles.ts';
import { SCENE_SIDE } from './images.ts';
import { getBlob, postJson, RefusedError } from './server.ts';
import type { ServerFunctions } from '../gradio.ts';
import type { Box, SignedPoint } from '../canvas/types.ts';
import type { Tile } from '../canvas/tiles.ts';
import type { AskedEdit, LocalMask, LocalReply } from '../studio/edits/local.ts';
import type { Studio } from '../studio/studio.ts';
import type { Edit } from '../studio/types.ts';
import { REJECTED, type ImageRef, type Item } from './types.ts';

/** Milliseconds after which the page forgets the file of an image that the browser has decoded. */
const KEPT = 30_000;

type PointEdit = Extract<Edit, { kind: 'point' }>;
type BoxEdit = Extract<Edit, { kind: 'box' }>;

export class WorkServer {
  readonly functions: ServerFunctions = {
    draw_image: () => this.address.catch(() => ''),
    draw_tile: (data) => this.loadTile(data as Tile),
    edit_masks: (data) => acceptMasks(postJson('/api/draw', data)),
    find_masks: (data) => acceptMasks(this.findMasks(data as AskedEdit)),
  };
  /** Of the image that is shown. */
  private address: Promise<string> = Promise.resolve('');
  private visits = 0;

  constructor(private readonly getItem: () => Item | null, private readonly getStudio: () => Studio) {}

  /** The work area takes an image with another name for another one, and forgets what was done on it: also on a second visit. */
  nameImage({ id, image }: Item): string {
    this.visits += 1;
    return `${this.visits} ${id} ${image.key}`;
  }

  async loadImage({ image }: Item): Promise<void> {
    this.address = loadPart(image, [0, 0, image.width, image.height], SCENE_SIDE);
    await this.address;
  }

  private async loadTile({ level, column, row }: Tile): Promise<string> {
    const item = this.getItem(), step = TILE_SIDE * 2 ** level;
    if (!item) return '';
    const { width, height } = item.image, [x, y] = [column * step, row * step];
    const box: Box = [x, y, Math.min(x + step, width), Math.min(y + step, height)];
    return loadPart(item.image, box, Math.max(16, Math.ceil(Math.max(box[2] - x, box[3] - y) / 2 ** level)));
  }

  private async findMasks(asked: AskedEdit): Promise<LocalReply> {
    const { edit } = asked;
    if (edit.kind === 'box' && edit.meaning === 'alike') return this.findAlike(asked, edit);
    if (edit.kind !== 'point' && edit.kind !== 'box') return { error: 'The work area asked for something unknown; load the page again.' };
    const mask = edit.kind === 'point' ? this.findClicked(asked.masks[0], edit) : undefined;
    const clicks: SignedPoint[] = edit.kind === 'point' ? [...mask?.clicks ?? [], [edit.x, edit.y, edit.positive]] : [];
    if (!mask && edit.kind === 'point' && !edit.positive) return { error: 'Choose the mask first that this does not belong to.' };
    const drawnBox = edit.kind === 'box' ? edit.box : mask && this.findBox(mask);
    const id = mask?.id ?? asked.next_id;
    const { rows } = await postJson<{ rows: LocalMask[] }>('/api/refine', { item: this.getItem()?.id, id, points: clicks, box: drawnBox ?? null });
    if (!rows[0]) return { error: 'SAM 3 finds nothing there.' };
    const label = mask?.label ?? '';
    return { rows: [{ ...rows[0], label, phrase: label || rows[0].phrase, clicks, drawnBox: drawnBox ?? null }], active: id };
  }

  /** The mask that a click corrects: what is clicked outside of the chosen one begins another object. */
  private findClicked(active: LocalMask | undefined, edit: PointEdit): LocalMask | undefined {
    if (!active || edit.new) return undefined;
    const isInside = this.getStudio().outlines.findIdAt([edit.x, edit.y]) === active.id;
    return isInside || edit.extend || !edit.positive ? active : undefined;
  }

  private async findAlike({ masks, next_id: id }: AskedEdit, { box }: BoxEdit): Promise<LocalReply> {
    const known = masks.map(({ id, size, counts }) => ({ id, size, counts }));
    const { rows } = await postJson<{ rows: LocalMask[] }>('/api/alike', { item: this.getItem()?.id, id, box, masks: known });
    return rows.length ? { rows, active: rows[0]!.id } : { error: 'SAM 3 finds nothing else that looks like it.' };
  }

  /** The box that stands for the clicks of a mask that was found by the phrase, or drawn by hand. */
  private findBox({ id, clicks, drawnBox }: LocalMask): Box | null {
    return clicks ? drawnBox ?? null : this.getStudio().outlines.findBox(id);
  }
}

/**
 * What is answered to an edit: who corrects a mask that was rejected means it to be right.
 * What the server refuses is a sentence of its own; whatever else fails is for the work area to tell.
 */
async function acceptMasks(answer: Promise<LocalReply>): Promise<LocalReply> {
  try {
    const { rows, ...others } = await answer;
    return rows ? { ...others, rows: rows.map((row) => row.label === REJECTED ? { ...row, label: '', phrase: 'mask' } : row) } : others;
  } catch (error) {
    if (error instanceof RefusedError) return { error: error.message };
    throw error;
  }
}

async function loadPart(image: ImageRef, box: Box, side: number): Promise<string> {
  const address = URL.createObjectURL(await getBlob(`/api/images/${image.key}?box=${box.join(',')}&side=${side}`));
  setTimeout(() => URL.revokeObjectURL(address), KEPT);
  return address;
}
