// The images in a row: which one is shown, and how far each is.
import { findNode, makeNode } from '../dom.ts';
import type { Album } from './album.ts';
import type { Entry } from './types.ts';

const STATES = { new: 'untouched', work: 'in work', done: 'done' };

export class Strip {
  private readonly list: HTMLElement;

  constructor(private readonly root: HTMLElement, private readonly album: Album) {
    this.list = findNode(root, '.strip');
    this.list.addEventListener('click', (event) => {
      const target = event.target as Element, item = target.closest<HTMLElement>('[data-entry]');
      if (!item) return;
      const id = Number(item.dataset.entry);
      if (target.closest('[data-remove]')) void album.request({ kind: 'remove', id });
      else this.show(id);
    });
  }

  show(id: number | null): void {
    if (id !== null && id !== this.album.current) void this.album.request({ kind: 'show', id });
  }

  step(way: number): void {
    this.show(this.album.findNeighbour(way));
  }

  /** Mark the image as done and show the next one, or take the mark away. */
  toggleDone(): void {
    const { current } = this.album, entry = current === null ? undefined : this.album.entries.get(current);
    if (!entry) return;
    const isDone = entry.state === 'done';
    void this.album.request({ kind: isDone ? 'undone' : 'done', id: entry.id });
    if (!isDone) this.step(1);
  }

  draw(): void {
    const { order, entries, current } = this.album;
    const rows = order.map((id) => entries.get(id)).filter((entry) => entry !== undefined);
    const known = new Map([...this.list.children].map((item) => [(item as HTMLElement).dataset.key, item]));
    const items = rows.map((entry) => known.get(buildKey(entry, current)) ?? buildItem(entry, current));
    this.list.replaceChildren(...items);
    this.root.dataset.images = String(order.length);
    const done = rows.filter((entry) => entry.state === 'done').length, place = order.indexOf(current ?? -1) + 1;
    findNode(this.root, '.place').textContent = order.length > 1 ? `${place} of ${order.length}${done ? `, ${done} done` : ''}` : '';
    if (known.size !== items.length || !known.has(items.map((item) => (item as HTMLElement).dataset.key).find((key) => key?.endsWith('current'))))
      this.list.querySelector('[aria-current=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
}

const buildKey = ({ id, name, state, masks, note, asked }: Entry, current: number | null): string =>
  `${JSON.stringify([id, name, state, masks, note, asked])}${id === current ? ' current' : ''}`;

function buildItem(entry: Entry, current: number | null): HTMLElement {
  const item = makeNode('li', `entry ${entry.state}`), button = makeNode('button', 'show'), thumbnail = makeNode('img');
  item.dataset.entry = String(entry.id);
  item.dataset.key = buildKey(entry, current);
  item.dataset.state = entry.state;
  item.dataset.asked = entry.asked ? 'yes' : 'no';
  button.type = 'button';
  thumbnail.src = entry.thumbnail;
  thumbnail.alt = '';
  const told = `${entry.name}, ${STATES[entry.state]}, ${entry.masks} masks${entry.note ? `; ${entry.note}` : ''}`;
  button.title = told;
  button.setAttribute('aria-label', told);
  button.setAttribute('aria-current', String(entry.id === current));
  button.append(thumbnail, makeNode('span', 'mark', entry.asked ? '…' : entry.note ? '!' : entry.state === 'done' ? '✓' : entry.masks || ''));
  const remove = makeNode('button', 'remove', '✕');
  remove.type = 'button';
  remove.dataset.remove = 'yes';
  remove.title = `Take ${entry.name} out`;
  remove.setAttribute('aria-label', remove.title);
  item.append(button, remove);
  return item;
}
