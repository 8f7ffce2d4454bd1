// The classes: which one new masks get, by a click or a digit.
import { getActiveClass, setActiveClass } from '../active_class.ts';
import { findNode, makeNode } from '../dom.ts';
import type { Album } from './album.ts';
import type { ClassInfo } from './types.ts';

export class Palette {
  /** The mask that is chosen on the canvas. */
  chosen: number | null = null;

  constructor(private readonly root: HTMLElement, private readonly album: Album) {
    findNode(root, '.palette').addEventListener('click', (event) => {
      const chip = (event.target as Element).closest<HTMLElement>('[data-class]');
      if (chip) this.take(chip.dataset.class ?? '');
    });
    findNode(root, '.palette').addEventListener('dblclick', (event) => {
      const chip = (event.target as Element).closest<HTMLElement>('[data-class]');
      if (chip?.dataset.class) this.rename(chip.dataset.class);
    });
    findNode(root, '.palette').addEventListener('keydown', (event) => {
      const name = (event.target as HTMLElement).dataset.class;
      if (event.key === 'F2' && name) this.rename(name);
    });
    findNode(root, 'form.name').addEventListener('keydown', (event) => { if (event.key === 'Escape') this.leaveName(); });
    findNode<HTMLFormElement>(root, 'form.name').addEventListener('submit', (event) => {
      event.preventDefault();
      this.takeName();
    });
    const box = findNode<HTMLInputElement>(root, 'input[name=byclass]');
    box.addEventListener('change', () => void album.request({ kind: 'options', by_class: box.checked, tolerance: album.tolerance }));
  }

  /** A chosen mask gets the class; without one, new masks do. The active class taken again is none. */
  take(name: string): void {
    if (this.chosen !== null) {
      window.dispatchEvent(new CustomEvent('sam3-relabel', { detail: { ids: [this.chosen], label: name } }));
      setActiveClass(name);
    } else setActiveClass(getActiveClass() === name ? '' : name);
    this.draw();
  }

  takeDigit(digit: number): void {
    if (digit === 0) this.take('');
    else if (this.album.classes[digit - 1]) this.take(this.album.classes[digit - 1]!.name);
  }

  private rename(old: string): void {
    const input = findNode<HTMLInputElement>(this.root, 'form.name input');
    this.root.dataset.renames = input.value = old;
    input.focus();
    input.select();
    this.draw();
  }

  /** Empty the box; what it renamed keeps its name. */
  private leaveName(): void {
    findNode<HTMLInputElement>(this.root, 'form.name input').value = this.root.dataset.renames = '';
    this.draw();
  }

  private takeName(): void {
    const input = findNode<HTMLInputElement>(this.root, 'form.name input'), name = input.value.trim(), old = this.root.dataset.renames ?? '';
    this.leaveName();
    if (!name) return;
    if (old) return void this.finishRename(old, name);
    const names = this.album.classes.map((one) => one.name);
    if (!names.includes(name)) void this.album.request({ kind: 'classes', names: [...names, name] });
    this.take(name);
  }

  /** The new name counts once the server has taken it. */
  private async finishRename(old: string, name: string): Promise<void> {
    await this.album.request({ kind: 'rename', old, new: name });
    if (getActiveClass() === old && !this.album.classes.some((one) => one.name === old)) setActiveClass(name);
    this.draw();
  }

  draw(): void {
    const active = getActiveClass();
    findNode(this.root, '.palette').replaceChildren(...this.album.classes.map((one, place) => buildChip(one, place, one.name === active)));
    findNode<HTMLInputElement>(this.root, 'input[name=byclass]').checked = this.album.byClass;
    findNode(this.root, 'form.name button').textContent = this.root.dataset.renames ? 'Rename' : 'Add class';
  }
}

function buildChip({ name, color, ink }: ClassInfo, place: number, isActive: boolean): HTMLElement {
  const chip = makeNode('button', 'class'), key = makeNode('kbd', '', place < 9 ? place + 1 : '');
  chip.type = 'button';
  chip.dataset.class = name;
  chip.setAttribute('aria-pressed', String(isActive));
  chip.title = `New masks are ${name}, and so is the chosen one${place < 9 ? ` (${place + 1})` : ''}; a double click or F2 renames it everywhere`;
  key.style.background = color;
  key.style.color = ink;
  chip.append(key, makeNode('span', '', name));
  return chip;
}
