// A step: what it did in one line, and, opened, what was thought, judged, drawn, called and seen.
import { makeNode } from '../dom.ts';
import { formatSeconds, makeChip, makeFold, makeImage } from './parts.ts';
import { makeSight } from './sight.ts';
import type { StepEntry, TalkHost, Verdict } from './types.ts';

export function makeStep(entry: StepEntry, host: TalkHost): HTMLElement {
  const [event, step] = entry.at;
  const made = makeFold(entry.failed ? 'step failed' : 'step', entry.title, async () => {
    if (!entry.image) return;
    const url = await host.fetch<string>('draw_step', { event, step });
    if (url) made.querySelector(':scope > .raw')?.before(makeImage(url, `The image with ${entry.image}`));
  });
  made.id = nameStep(event, step);
  made.querySelector('summary')?.append(makeNode('span', 'took', ` ${formatSeconds(entry.seconds + entry.thinking)}`));
  if (entry.reasoning) made.append(makeReasoning(entry));
  if (entry.thought) made.append(makeNode('p', 'thought', entry.thought));
  if (entry.verdicts.length) made.append(makeVerdicts(entry.verdicts));
  made.append(makeDetails(entry, host));
  return made;
}

/** The fragment of the address that leads to a step. */
export function nameStep(event: number, step: number): string {
  return `turn-${event}-step-${step + 1}`;
}

function makeReasoning(entry: StepEntry): HTMLElement {
  const thought = makeFold('reasoning', `Thought for ${formatSeconds(entry.thinking || entry.seconds)}`);
  thought.append(makeNode('p', '', entry.reasoning));
  return thought;
}

function makeVerdicts(verdicts: Verdict[]): HTMLElement {
  const table = makeNode('table', 'verdicts'), head = table.createTHead().insertRow();
  table.append(makeNode('caption', 'unseen', 'What was thought of each object'));
  for (const name of ['Object', 'Verdict', 'Belongs', 'Why']) {
    const cell = makeNode('th', '', name);
    cell.scope = 'col';
    head.append(cell);
  }
  const body = table.createTBody();
  for (const one of verdicts) {
    const row = body.insertRow(), share = makeNode('td', 'share', `${Math.round(one.share * 100)} %`);
    row.insertCell().append(makeChip(one));
    share.style.setProperty('--share', String(one.share));
    row.append(makeNode('td', one.accept ? 'yes' : 'no', one.accept ? 'kept' : 'left out'), share, makeNode('td', '', one.reason));
  }
  return table;
}

/** What a visitor seldom needs: the call itself, what the model saw, a link. */
function makeDetails(entry: StepEntry, host: TalkHost): HTMLElement {
  const [event, step] = entry.at, raw = makeFold('raw', 'Details');
  raw.append(makeNode('pre', 'call', entry.call), makeNode('p', '', entry.text));
  if (entry.spent) raw.append(makeNode('p', 'cost', entry.spent), makeSight(event, step, host));
  const link = makeNode('a', 'link', 'Link to this step');
  link.href = `#${nameStep(event, step)}`;
  raw.append(link);
  return raw;
}
