// Two planners on the same question, side by side: what each found, what it took, and how far they agree.
import { makeNode } from '../dom.ts';
import { makeButton, makeChip, makeFold, makeImage } from './parts.ts';
import type { ComparedRow, ComparisonEntry, TalkHost } from './types.ts';

export function makeComparison(entry: ComparisonEntry, host: TalkHost): HTMLElement {
  const made = makeNode('div', 'comparison');
  made.setAttribute('role', 'group');
  made.setAttribute('aria-label', 'Answers compared');
  made.append(...entry.rows.map((row) => makeColumn(row, host)));
  return made;
}

function makeColumn(row: ComparedRow, host: TalkHost): HTMLElement {
  const made = makeNode('section', row.shown ? 'column shown' : 'column');
  made.append(makeNode('h2', '', row.planner), makeNode('p', 'said', row.text), makeMasks(row));
  if (row.agreement) made.append(makeNode('p', 'agreement', row.agreement));
  made.append(makeNode('p', 'cost', `${row.steps} step${row.steps === 1 ? '' : 's'}, ${row.cost}`));
  if (row.masks.length) made.append(makePicture(row, host));
  made.append(row.shown ? makeNode('p', 'cost', 'This one is shown') : makeButton('use', 'Use this answer', () => host.show(row.branch)));
  return made;
}

/** Numbers of masks that are not on the canvas choose nothing there. */
function makeMasks(row: ComparedRow): HTMLElement {
  const made = makeNode('p', 'masks-said');
  for (const mask of row.masks) {
    if (row.shown) made.append(makeChip(mask));
    else {
      const chip = makeNode('span', 'chip', mask.id);
      chip.style.background = mask.color;
      chip.style.color = mask.ink;
      made.append(chip);
    }
  }
  if (row.more) made.append(makeNode('span', 'cost', `and ${row.more} more`));
  return made;
}

function makePicture(row: ComparedRow, host: TalkHost): HTMLElement {
  return makeFold('shot', 'Show its masks', async (fold) => {
    const url = await host.fetch<string>('draw_step', { event: row.turn, step: -1, branch: row.branch });
    if (url) fold.append(makeImage(url, `The image with the masks of ${row.planner}`));
  });
}
