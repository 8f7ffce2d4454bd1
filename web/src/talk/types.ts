// What Python sends of the conversation, and what the script sends back.
import type { Change } from '../studio/types.ts';

export interface Chip {
  id: number;
  color: string;
  ink: string;
}

export interface Verdict extends Chip {
  accept: boolean;
  share: number;
  reason: string;
}

interface Base {
  /** Equal entries have equal keys. */
  key: string;
  /** This comes back with the next redo. */
  redo?: boolean;
  undone?: boolean;
}

export interface TextEntry extends Base {
  kind: 'image' | 'note' | 'undone';
  text: string;
}

export interface QueryEntry extends Base {
  kind: 'query';
  text: string;
  byHand?: boolean;
  /** Its place in the conversation; only of a question that can be asked otherwise. */
  turn?: number;
  planner?: string;
  versions?: { at: number; branches: number[] };
  /** The way that holds what was undone. */
  restore?: number;
}

export interface AnswerEntry extends Base {
  kind: 'answer' | 'error';
  text: string;
  masks?: Chip[];
  options?: string[];
  cost?: string;
}

export interface StepEntry extends Base {
  kind: 'step';
  title: string;
  seconds: number;
  thinking: number;
  failed: boolean;
  thought: string;
  reasoning: string;
  call: string;
  text: string;
  verdicts: Verdict[];
  /** The place of its turn in the conversation, and its own in the turn. */
  at: [number, number];
  spent: string;
  /** What its image shows; empty without one. */
  image: string;
}

export interface ComparedRow {
  planner: string;
  text: string;
  masks: Chip[];
  more: number;
  steps: number;
  cost: string;
  agreement: string;
  branch: number;
  turn: number;
  shown: boolean;
}

export interface ComparisonEntry extends Base {
  kind: 'comparison';
  rows: ComparedRow[];
}

export type Entry = TextEntry | QueryEntry | AnswerEntry | StepEntry | ComparisonEntry;

/** What is under way. */
export interface Pending {
  title: string;
  seconds: number;
  isQueued: boolean;
  isBeside: boolean;
  /** What the language model writes: what comes after the first `from` characters of its reply. */
  thought: { reply: number; from: number; text: string } | null;
}

export interface TalkValue {
  serial?: number;
  version?: number;
  entries: Entry[];
  pending: Pending | null;
  suggestions: string[];
  placeholder: string;
}

/** What has changed since the page last asked. */
export interface News {
  version: number;
  keep: number;
  tail: (Entry | { key: string })[];
  pending: Pending | null;
  suggestions: string[];
  placeholder: string;
  canvas: Change | null;
  error?: string;
}

export interface SightPart {
  image: number;
  width: number;
  height: number;
}

export interface SightSection {
  title: string;
  messages: { role: string; parts: (string | SightPart)[]; isOld: boolean }[];
}

/** What the entries need of the page. */
export interface TalkHost {
  planners: string[];
  ask(text: string, how?: { place?: number; planner?: string; beside?: boolean }): void;
  show(branch: number): void;
  /** Calls a function of the server on this visit's work. */
  fetch<T>(name: string, asked: Record<string, unknown>): Promise<T>;
}

/** What the canvas says of itself. */
export interface Canvas {
  key: string;
  revision: string;
  masks: { selected: boolean }[];
  busy: boolean;
}
