// The example images of the empty studio.
import { findNode, makeNode } from '../dom.ts';
import type { Example } from './types.ts';

export function showExamples(root: HTMLElement, examples: Example[]): void {
  findNode(root, '.examples').append(...examples.map(buildExample));
}

function buildExample({ name, about, url }: Example): HTMLElement {
  const button = makeNode('button'), thumbnail = makeNode('img');
  button.type = 'button';
  button.dataset.example = name;
  button.title = thumbnail.alt = about;
  thumbnail.src = url;
  button.append(thumbnail);
  return button;
}
