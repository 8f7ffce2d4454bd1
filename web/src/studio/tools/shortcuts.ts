// The sheet of the keyboard's keys, which ? opens.
import { findNode, makeNode } from '../../dom.ts';
import { EDITABLE, MODES } from './keys.ts';
import type { Studio } from '../studio.ts';

/** What no table of tools holds. */
const OTHERS: [string, string][] = [
  ['Arrows', 'Move the cross; with Shift by one pixel'],
  ['Enter', 'Click at the cross; with Alt take away, with Shift extend'],
  ['Space', 'Hold it to move the image; in a video play or stop'],
  ['+ −', 'Zoom; Shift+0 shows the whole image, Shift+1 its actual size'],
  [', .', 'Smaller and larger brush'],
  ['N', 'Begin a new object'],
  ['Delete', 'Take the chosen mask out'],
  ['Escape', 'Let go of the chosen mask'],
  ['Ctrl+Z', 'Undo; with Shift redo'],
];
/** Of the page around the studio. */
const OF_PAGE: [string, string][] = [
  ['1 … 9', 'The class of new masks and of the chosen one; 0 for none'],
  ['F2', 'On a class: rename it in all images'],
  ['Page Up/Down', 'The image before and after'],
  ['Shift+Enter', 'Done with this image'],
  ['Up', 'In the question: the one asked before'],
];

export function connectSheet(studio: Studio): HTMLDialogElement {
  const sheet = findNode<HTMLDialogElement>(studio.stage, 'dialog');
  findNode(sheet, 'dl').append(...listRows(studio).flatMap(([key, does]) => {
    const term = makeNode('dt');
    term.append(makeNode('kbd', '', key));
    return [term, makeNode('dd', '', does)];
  }));
  sheet.addEventListener('click', (event) => { if (event.target === sheet) sheet.close(); });
  (studio.isLocal ? studio.stage : document).addEventListener('keydown', (event) => takeKey(sheet, event as KeyboardEvent));
  return sheet;
}

function takeKey(sheet: HTMLDialogElement, event: KeyboardEvent): void {
  if (event.key !== '?' || event.ctrlKey || event.metaKey || (event.target as Element).closest(EDITABLE)) return;
  event.preventDefault();
  if (sheet.open) sheet.close();
  else sheet.showModal();
}

/** The tools say themselves what they do. */
function listRows({ stage, isLocal }: Studio): [string, string][] {
  const tools = Object.entries(MODES).map(([key, mode]): [string, string] => {
    const label = findNode(stage, `input[value=${mode}]`).closest('label')!;
    return [key.toUpperCase(), `${findNode(label, 'b').textContent}: ${label.title.replace(/ \(.\)$/, '')}`];
  });
  return [...tools, ...OTHERS, ...(isLocal ? [] : OF_PAGE)];
}
