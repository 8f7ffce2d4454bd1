// What Python sends of the image and its masks, and what the script sends back.
import type { Box, Outline, Point, SignedPoint } from '../canvas/types.ts';

/** Path, x and y of an object in one frame of a video. */
type FrameOutline = [string, number, number];

/** What is known of a mask. */
export interface MaskRow extends Outline {
  phrase: string;
  score: number;
  area: number;
  selected: boolean;
  /** The clicks that made it, and the box, where the application finds objects without Python's help. */
  clicks?: SignedPoint[];
  drawnBox?: Box | null;
  /** Of a video: its spans of frames, and its outlines by frame. */
  spans?: [number, number][];
  frames?: Record<string, FrameOutline>;
}

export interface Film {
  /** Seconds at which each frame begins, and at which the last one ends. */
  edges: number[];
}

export interface StudioValue {
  serial: number;
  key: string;
  name: string;
  width: number;
  height: number;
  masks: MaskRow[];
  revision: string;
  points: SignedPoint[];
  active: number | null;
  threshold: number;
  film: Film | null;
  progress: string;
  canUndo: boolean;
  canRedo: boolean;
  busy: boolean;
  /** Of a studio without a conversation: its tool, and the part of the image that is seen. */
  tool?: string;
  view?: { scale: number; box: Box };
}

/** The image itself, or the video: sent once. */
export interface Subject {
  key: string;
  url?: string;
  film?: string;
}

export interface Example {
  name: string;
  about: string;
  question: string;
  /** The image without and with the masks of the answer. */
  before: string;
  after: string;
}

/** The one object in it, all that look like it, or that these are to be left out. */
export type BoxMeaning = 'one' | 'alike' | 'not';

export type Edit =
  | PointEdit
  | { kind: 'box'; box: Box; meaning: BoxMeaning; frame: number | null; label?: string }
  | { kind: 'relabel'; ids: number[]; label: string }
  | { kind: 'keep'; ids: number[] }
  | { kind: 'threshold'; value: number }
  | { kind: 'stroke'; points: Point[]; radius: number; object: number; active: number | null; erase: boolean; label?: string }
  | { kind: 'polygon'; points: Point[]; object: number; active: number | null; erase: boolean; extend: boolean; label?: string }
  | { kind: 'mend'; how: Mending; ids: number[] }
  | { kind: 'undo' | 'redo' };

export type Mending = 'fill' | 'specks' | 'smooth' | 'merge' | 'split' | 'duplicate';

export interface PointEdit {
  kind: 'point';
  x: number;
  y: number;
  positive: boolean;
  extend: boolean;
  object: number;
  active: number | null;
  new: boolean;
  frame: number | null;
  label?: string;
}

/** What changed on the server: `state` without the rows, and of those all, or what differs. */
export interface Change {
  state: Partial<StudioValue>;
  rows: MaskRow[] | null;
  changed: Record<string, Partial<MaskRow>>;
  gone: number[];
  moved: boolean;
}

export interface EditReply extends Change {
  notes: string[];
  done: number;
  /** What changed for the other parts of the page. */
  parts?: Record<string, unknown>;
  error?: string;
}

export const EMPTY_VALUE: StudioValue = {
  serial: 0, key: '', name: '', width: 0, height: 0, masks: [], revision: '', points: [], active: null, threshold: 0,
  film: null, progress: '', canUndo: false, canRedo: false, busy: false,
};

export function applyChange(rows: MaskRow[], { rows: all, changed, gone }: Change): MaskRow[] {
  if (all) return all;
  const known = new Map(rows.map((row) => [String(row.id), row]));
  for (const [id, fields] of Object.entries(changed)) known.set(id, { ...known.get(id), ...fields } as MaskRow);
  for (const id of gone) known.delete(String(id));
  return [...known.values()].sort((a, b) => b.area - a.area);
}

export type { Box, Point, SignedPoint };
