// The entries of the talk as nodes: questions with their versions, answers, notes.
import { makeNode } from '../dom.ts';
import { makeComparison } from './comparison.ts';
import { makeButton, makeChip } from './parts.ts';
import { makeStep } from './steps.ts';
import type { AnswerEntry, Entry, QueryEntry, TalkHost } from './types.ts';

/** Numbers of masks that one answer names. */
const MOST_CHIPS = 40;
/** Planners to compare with that have a button each; more than these are a menu. */
const MOST_BUTTONS = 2;

export function makeEntry(entry: Entry, host: TalkHost): HTMLElement {
  const made = makeKind(entry, host);
  if (entry.redo) made.append(makeButton('redo', 'Redo', () => document.querySelector<HTMLElement>('.stage [data-do=redo]')?.click()));
  return made;
}

function makeKind(entry: Entry, host: TalkHost): HTMLElement {
  switch (entry.kind) {
    case 'query': return makeQuery(entry, host);
    case 'step': return makeStep(entry, host);
    case 'answer': case 'error': return makeAnswer(entry, host);
    case 'comparison': return makeComparison(entry, host);
    case 'image': return makeNode('p', entry.undone ? 'divider undone' : 'divider', entry.text);
    default: return makeNode('p', 'note', entry.text);
  }
}

export function makeQuery(entry: Omit<QueryEntry, 'key' | 'kind'>, host: TalkHost): HTMLElement {
  const made = makeNode('div', `mine${entry.byHand ? ' hand' : ''}${entry.undone ? ' undone' : ''}`);
  made.append(makeNode(entry.undone ? 's' : 'p', 'said', entry.text));
  if (entry.undone) made.append(makeNode('span', 'unseen', ' (undone)'));
  const { restore, versions, turn } = entry;
  if (restore !== undefined) made.append(makeButton('redo', 'Bring back', () => host.show(restore)));
  const acts = makeNode('div', 'acts');
  if (turn !== undefined) acts.append(...makeActs(entry, turn, made, host));
  if (versions) acts.append(makeVersions(versions, host));
  if (acts.childElementCount) made.append(acts);
  return made;
}

function makeActs(entry: Omit<QueryEntry, 'key' | 'kind'>, place: number, bubble: HTMLElement, host: TalkHost): HTMLElement[] {
  const others = host.planners.filter((name) => name !== entry.planner);
  const edit = makeButton('act', 'Edit', () => editQuery(entry.text, place, bubble, host));
  edit.setAttribute('aria-label', `Edit the question ${entry.text}`);
  const compare = (planner: string) => host.ask(entry.text, { place, planner, beside: true });
  return [edit, ...(others.length > MOST_BUTTONS ? [makePlannerMenu(others, compare)] : others.map((one) => makeCompareButton(one, compare)))];
}

function makeCompareButton(planner: string, compare: (planner: string) => void): HTMLElement {
  const made = makeButton('act', `Compare with ${planner}`, () => compare(planner));
  made.title = 'Ask the same question of another planner';
  return made;
}

function makePlannerMenu(planners: string[], compare: (planner: string) => void): HTMLElement {
  const menu = makeNode('select', 'act');
  menu.setAttribute('aria-label', 'Compare with another planner');
  menu.append(new Option('Compare with …', ''), ...planners.map((one) => new Option(one, one)));
  menu.addEventListener('change', () => { if (menu.value) compare(menu.value); menu.value = ''; });
  return menu;
}

/** The question in a box of its own; what is asked there begins another version. */
function editQuery(text: string, place: number, bubble: HTMLElement, host: TalkHost): void {
  const form = makeNode('form', 'edit'), box = makeNode('textarea'), row = makeNode('div', 'acts');
  box.value = text;
  box.maxLength = 2000;
  box.setAttribute('aria-label', 'The question, to be asked otherwise');
  const close = () => {
    form.replaceWith(bubble);
    bubble.querySelector<HTMLElement>('.act')?.focus();
  };
  const send = makeNode('button', 'send', 'Ask this instead');
  row.append(makeButton('act', 'Cancel', close), send);
  form.append(box, row);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!box.value.trim()) return;
    form.replaceWith(bubble);
    host.ask(box.value, { place });
  });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.target !== box) return;
    event.preventDefault();
    form.requestSubmit();
  });
  bubble.replaceWith(form);
  box.focus();
  box.select();
}

function makeVersions({ at, branches }: { at: number; branches: number[] }, host: TalkHost): HTMLElement {
  const made = makeNode('span', 'versions');
  made.setAttribute('role', 'group');
  made.setAttribute('aria-label', 'Versions of this question');
  const makeTurn = (text: string, name: string, place: number) => {
    const branch = branches[place], button = makeButton('act', text, () => { if (branch !== undefined) host.show(branch); });
    button.setAttribute('aria-label', name);
    button.disabled = branch === undefined;
    return button;
  };
  made.append(makeTurn('‹', 'The version before', at - 1), makeNode('span', '', `${at + 1} / ${branches.length}`), makeTurn('›', 'The version after', at + 1));
  return made;
}

function makeAnswer(entry: AnswerEntry, host: TalkHost): HTMLElement {
  const made = makeNode('div', entry.kind === 'error' ? 'answer error' : 'answer');
  made.append(makeNode('p', 'said', entry.text));
  const masks = entry.masks ?? [], options = entry.options ?? [];
  if (masks.length) {
    const row = makeNode('p', 'masks-said');
    row.append(...masks.slice(0, MOST_CHIPS).map(makeChip));
    if (masks.length > MOST_CHIPS) row.append(makeNode('span', 'cost', ` and ${masks.length - MOST_CHIPS} more`));
    made.append(row);
  }
  if (options.length) {
    const row = makeNode('div', 'options');
    row.append(...options.map((option) => makeButton('option', option, () => host.ask(option))));
    made.append(row);
  }
  if (entry.cost) made.append(makeNode('p', 'cost', entry.cost));
  return made;
}
