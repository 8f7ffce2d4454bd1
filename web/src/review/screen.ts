// What every task's screen is: it shows a group of items and answers keys.
import { makeNode } from '../dom.ts';
import type { Box, Point } from '../canvas/types.ts';
import type { ImageShelf } from './images.ts';
import type { Item } from './types.ts';

/** What a person says of an item, before it has an id and a time. */
export interface Said {
  item: number;
  choice: string;
  reason?: string;
  content?: string;
}

export interface Desk {
  readonly shelf: ImageShelf;
  /** Send what is said of the items shown, and go on. */
  decide(said: Said[]): void;
  /** Say a sentence to the person. */
  tell(message: string): void;
  /** Correct the pair of an item at once; `begin` is done first, when the work area is open. */
  edit(item: Item, begin?: (area: Area) => void): void;
  /** Leave the correction of an item that another task has given: nothing of it is kept. */
  leave(): void;
}

/** The work area, for whoever opens it with something to be done. */
export interface Area {
  /** Add the object at a pixel. */
  addAt(at: Point): void;
  /** Ask what a drawn box shall add. */
  addBox(box: Box): void;
  /** Mark a mask of the proposal as several objects at once. */
  markGroup(index: number): void;
}

export interface Command {
  key: string;
  word: string;
  /** Of the button: what kind of answer it is. */
  kind?: string;
  run(): void;
}

export interface Screen {
  readonly node: HTMLElement;
  prepare(group: Item[]): void;
  show(group: Item[]): Promise<void>;
  /** Keys that are also buttons. */
  readonly commands: Command[];
  /** Other keys; whether this one was meant for the screen. */
  handleKey(event: KeyboardEvent): boolean;
}

/** What can be said of a pair whatever its masks are. `keys`: others, by the usual ones. */
export function listRefusals(say: (choice: string, reason?: string) => void, keys: Record<string, string> = {}): Command[] {
  const list: Command[] = [
    { key: 'W', word: 'whole image', kind: 'minor', run: () => say('whole_image') },
    { key: 'F', word: 'flag', kind: 'minor', run: () => say('flag') },
    { key: 'V', word: 'vague', kind: 'minor', run: () => say('ungroundable', 'vague') },
    { key: 'U', word: 'unsure', kind: 'minor', run: () => say('ungroundable', 'unsure') },
  ];
  return list.map((command) => ({ ...command, key: keys[command.key] ?? command.key }));
}

export function makeButtons(commands: Command[]): HTMLElement {
  const bar = makeNode('div', 'commands');
  for (const { key, word, kind, run } of commands) {
    const button = makeNode('button', kind ?? '');
    button.type = 'button';
    button.append(makeNode('kbd', '', key === 'Enter' ? '↵' : key), makeNode('span', '', word));
    button.addEventListener('click', () => { button.blur(); run(); });
    bar.append(button);
  }
  return bar;
}
