// What the language model saw before a step: its texts once they are opened, each of its images when it is tapped.
import { makeNode } from '../dom.ts';
import { makeFold, makeImage } from './parts.ts';
import type { SightPart, SightSection, TalkHost } from './types.ts';

export function makeSight(event: number, step: number, host: TalkHost): HTMLElement {
  return makeFold('sight', 'What the model saw', async (fold) => {
    const sections = await host.fetch<SightSection[]>('show_sight', { event, step });
    const draw = (image: number) => host.fetch<string>('draw_sight', { event, step, image });
    fold.append(...sections.map((section) => makeSection(section, draw)));
    if (!sections.length) fold.append(makeNode('p', 'note', 'What it saw is not known here.'));
  });
}

function makeSection({ title, messages }: SightSection, draw: (image: number) => Promise<string>): HTMLElement {
  const made = makeNode('section'), old = messages.filter((message) => message.isOld);
  made.append(makeNode('h2', '', title));
  if (old.length) {
    const before = makeFold('before', `As before the last step: ${old.length} message${old.length > 1 ? 's' : ''}`);
    before.append(...old.map((message) => makeMessage(message, draw)));
    made.append(before);
  }
  made.append(...messages.filter((message) => !message.isOld).map((message) => makeMessage(message, draw)));
  return made;
}

function makeMessage({ role, parts }: SightSection['messages'][number], draw: (image: number) => Promise<string>): HTMLElement {
  const made = makeNode('div', 'message');
  made.append(makeNode('b', '', role), ...parts.map((part) => typeof part === 'string' ? makeNode('p', 'said', part) : makeShot(part, draw)));
  return made;
}

function makeShot(part: SightPart, draw: (image: number) => Promise<string>): HTMLElement {
  const name = `Image ${part.image}, ${part.width} x ${part.height} pixels`;
  return makeFold('shot', name, async (fold) => {
    const url = await draw(part.image);
    if (url) fold.append(makeImage(url, `${name}, as the model saw it`));
  });
}
