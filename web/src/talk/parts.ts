// Small parts of the talk: buttons, numbers of masks, times. Every text is written as text, so that no markup is ever read.
import { makeNode } from '../dom.ts';
import type { Chip } from './types.ts';

export function makeButton(kind: string, text: string | number, act: () => void): HTMLButtonElement {
  const made = makeNode('button', kind, text);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
}

export function makeChip(mask: Chip): HTMLButtonElement {
  const chip = makeButton('chip', mask.id, () => tellPage('sam3-choose', mask.id));
  chip.style.background = mask.color;
  chip.style.color = mask.ink;
  chip.setAttribute('aria-label', `Choose object ${mask.id}`);
  for (const kind of ['pointerenter', 'focus']) chip.addEventListener(kind, () => tellPage('sam3-light', mask.id));
  for (const kind of ['pointerleave', 'blur']) chip.addEventListener(kind, () => tellPage('sam3-light', null));
  return chip;
}

/** Something that is folded, and asks for its content once it is opened. */
export function makeFold(kind: string, title: string, open?: (fold: HTMLDetailsElement) => Promise<void> | void): HTMLDetailsElement {
  const fold = makeNode('details', kind);
  fold.append(makeNode('summary', '', title));
  if (!open) return fold;
  let asked = false;
  fold.addEventListener('toggle', () => {
    if (!fold.open || asked) return;
    asked = true;
    void Promise.resolve(open(fold)).catch(() => {
      asked = false;
      fold.open = false;
    });
  });
  return fold;
}

export function makeImage(url: string, about: string): HTMLImageElement {
  const image = makeNode('img');
  image.src = url;
  image.alt = about;
  return image;
}

export function formatSeconds(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

export function tellPage(name: string, detail: unknown): void {
  window.dispatchEvent(new CustomEvent(name, { detail }));
}
