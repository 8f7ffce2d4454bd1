// MV in grids: many masks of one phrase; the wrong ones are marked, and Enter answers all.
import { makeNode } from '../dom.ts';
import { CELL_SIDE } from './images.ts';
import { Panel } from './scene.ts';
import type { Command, Desk, Screen } from './screen.ts';
import type { Item } from './types.ts';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWX';

export class GridScreen implements Screen {
  readonly node = makeNode('div', 'grid');
  private items: Item[] = [];
  private readonly wrong = new Set<number>();
  private readonly cells: HTMLButtonElement[] = [];
  readonly commands: Command[];

  constructor(private readonly desk: Desk) {
    this.commands = [{ key: 'Enter', word: 'the unmarked are right, the marked are wrong', kind: 'good', run: () => this.send() }];
  }

  prepare(group: Item[]): void {
    for (const item of group) void this.desk.shelf.load(item.image, item.focus, CELL_SIDE).catch(() => {});
  }

  async show(group: Item[]): Promise<void> {
    this.items = group;
    this.wrong.clear();
    this.cells.splice(0, this.cells.length, ...group.map((item, at) => this.makeCell(item, at)));
    this.node.replaceChildren(...this.cells.map((cell) => cell));
    await Promise.all(group.map((item, at) => this.fillCell(item, this.cells[at])));
  }

  /** The letter of a cell marks it. */
  handleKey(event: KeyboardEvent): boolean {
    const at = LETTERS.indexOf(event.key.toUpperCase());
    if (event.key.length !== 1 || at < 0 || at >= this.items.length) return false;
    this.toggle(at);
    return true;
  }

  private makeCell(item: Item, at: number): HTMLButtonElement {
    const cell = makeNode('button', 'cell');
    cell.type = 'button';
    cell.setAttribute('aria-pressed', 'false');
    cell.setAttribute('aria-label', `mask ${LETTERS[at] ?? at + 1} of ${item.phrase} is wrong`);
    cell.addEventListener('click', () => this.toggle(at));
    return cell;
  }

  private async fillCell(item: Item, cell: HTMLButtonElement | undefined): Promise<void> {
    const panel = new Panel(this.desk.shelf, CELL_SIDE), mask = item.masks[0];
    cell?.append(panel.node, makeNode('kbd', '', LETTERS[this.items.indexOf(item)] ?? ''));
    if (await panel.show(item, item.focus) && mask) panel.drawMask(mask, 'own');
  }

  private toggle(at: number): void {
    if (!this.wrong.delete(at)) this.wrong.add(at);
    this.cells[at]?.setAttribute('aria-pressed', String(this.wrong.has(at)));
  }

  private send(): void {
    this.desk.decide(this.items.map((item, at) => ({ item: item.id, choice: this.wrong.has(at) ? 'reject' : 'accept' })));
  }
}
