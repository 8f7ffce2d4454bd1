// What every task's screen is: it shows a group of items and answers keys.
import { makeNode } from '../dom.ts';
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
  /** Correct the pair of an item at once; `group` marks its mask as several objects. */
  edit(item: Item, group: boolean): void;
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
