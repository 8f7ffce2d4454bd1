// What the server tells of items, and what people say of them.
import type { Box, Point } from '../canvas/types.ts';
import type { LocalMask } from '../studio/edits/local.ts';

/** Answers that can be taken back. */
export const REMEMBERED = 20;

export type Stage = 'mv' | 'ev' | 'correct';
export type Task = Stage | 'grid';

export interface ImageRef {
  key: string;
  width: number;
  height: number;
}

export interface MaskView {
  /** Of the proposal's masks. */
  index: number;
  path: string;
  at: Point;
  box: Box;
  is_accepted: boolean;
}

export interface Item {
  id: number;
  stage: Stage;
  phrase: string;
  image: ImageRef;
  masks: MaskView[];
  /** The same masks as the work area edits them, where they are to be corrected. */
  rows: LocalMask[];
  /** Of the close-up. */
  focus: Box;
}

export interface Answer {
  id: string;
  item: number;
  choice: string;
  reason: string;
  seconds: number;
  content: string;
  batch: string;
}

export interface Told {
  model?: { choice: string; probability: number | null; by: string };
  gold?: { expected: string; right: boolean };
}

export interface Person {
  name: string;
  role: 'annotator' | 'reviewer' | 'admin';
  guidelines: string;
}

/** The label of a mask that is not right, as engine/review/views.py gives it, and of several objects in one. */
export const REJECTED = 'rejected', GROUP = 'group';

export const REASONS: [string, string][] = [
  ['wrong_thing', 'wrong thing'],
  ['missing_part', 'missing part'],
  ['too_much', 'too much'],
  ['holes', 'holes'],
  ['two_in_one', 'two in one'],
  ['duplicate', 'duplicate'],
];

export const CHOICE_WORDS: Record<string, string> = {
  accept: 'accept',
  accept_text: 'accept as text',
  reject: 'reject',
  reject_unseparated: 'missing, inseparable',
  flag: 'flag the phrase',
  whole_image: 'whole image',
  ungroundable: 'vague or unsure',
  corrected: 'corrected',
};
