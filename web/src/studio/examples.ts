// The example images of the empty studio: each before and after its question. A tap opens one and asks it.
import { findNode, makeNode } from '../dom.ts';
import type { Example } from './types.ts';

export function showExamples(root: HTMLElement, examples: Example[]): void {
  findNode(root, '.examples').append(...examples.map(buildExample));
}

function buildExample({ name, about, question, before, after }: Example): HTMLElement {
  const button = makeNode('button'), views = makeNode('span', 'views');
  button.type = 'button';
  button.dataset.example = name;
  button.dataset.question = question;
  button.title = 'Open it and ask (with Shift: only open it)';
  views.append(buildView('before', before, about), buildView('after', after, ''));
  button.append(views, makeNode('span', 'asked', question));
  return button;
}

function buildView(kind: string, url: string, about: string): HTMLElement {
  const view = makeNode('img', kind);
  view.src = url;
  view.alt = about;
  return view;
}
