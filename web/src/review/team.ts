// What reviewers and admins see: why masks fail, how everybody works, and how far they agree.
import { makeNode } from '../dom.ts';
import { CELL_SIDE, type ImageShelf } from './images.ts';
import { Panel } from './scene.ts';
import { getJson } from './server.ts';
import { CHOICE_WORDS, type Item } from './types.ts';

interface Agreement {
  items: number;
  observed: number | null;
  kappa: number | null;
}

interface PersonRow {
  person: string;
  answers: number;
  seconds: Record<string, number>;
  accepted: number | null;
  agreement: Agreement;
  gold: number | null;
  golds: number;
  hasty: number;
}

interface People {
  people: PersonRow[];
  /** What is left for them, in words. */
  machines: string;
  /** What became of the verifier's fits, in words. */
  fits: string;
  agreement: { mv: Agreement; ev: Agreement; correct: { items: number; f1: number | null } };
}

interface Failures {
  facets: Record<string, [string, number][]>;
  count: number;
  answers: { person: string; item: number; choice: string; reason: string; gold: string | null; view: Item | null }[];
}

const FACET_WORDS: Record<string, string> = { stage: 'Stage', choice: 'Answer', reason: 'Reason', phrase: 'Phrase', domain: 'Source', size: 'Size' };

export function formatShare(value: number | null): string {
  return value === null ? '–' : `${Math.round(value * 100)} %`;
}

function formatKappa({ items, observed, kappa }: Agreement): string {
  return items ? `${formatShare(observed)}, κ ${kappa === null ? '–' : kappa.toFixed(2)} (${items})` : '–';
}

function makeTable(caption: string, head: string[], rows: string[][]): HTMLElement {
  const frame = makeNode('div', 'scroll'), table = makeNode('table');
  frame.tabIndex = 0;
  frame.setAttribute('role', 'region');
  frame.setAttribute('aria-label', caption);
  table.append(makeNode('caption', '', caption));
  const top = table.createTHead().insertRow();
  for (const word of head) {
    const cell = makeNode('th', '', word);
    cell.scope = 'col';
    top.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const text of row) line.insertCell().append(text);
  }
  frame.append(table);
  return frame;
}

export class TeamScreen {
  readonly node = makeNode('div', 'team');
  private readonly tables = makeNode('section');
  private readonly failures = makeNode('section');
  private chosen = new Map<string, string>();

  constructor(
    private readonly shelf: ImageShelf,
    private readonly tell: (message: string) => void,
    private readonly setGold: (item: number, choice: string | null) => Promise<boolean>,
  ) {
    this.node.append(this.tables, this.failures);
  }

  /** Show the team, and the failures of one filter: facet = value for each that is chosen. */
  async open(query: URLSearchParams): Promise<void> {
    this.chosen = new Map([...query].filter(([facet]) => facet in FACET_WORDS));
    try {
      this.drawPeople(await getJson<People>('/api/people'));
      await this.loadFailures();
    } catch (error) {
      this.tell((error as Error).message);
    }
  }

  private drawPeople({ people, agreement, machines, fits }: People): void {
    const rows = people.map((one) => [
      one.person, String(one.answers), Object.entries(one.seconds).map(([stage, seconds]) => `${stage} ${seconds.toFixed(1)}`).join(', '),
      formatShare(one.accepted), formatKappa(one.agreement), one.golds ? `${formatShare(one.gold)} (${one.golds})` : '–', String(one.hasty),
    ]);
    const head = ['Person', 'Answers', 'Median seconds', 'Accepted', 'Agree with others', 'Gold', 'Under 0.4 s'];
    const f1 = agreement.correct.f1;
    const words = `Masks: ${formatKappa(agreement.mv)}. Coverage: ${formatKappa(agreement.ev)}. Corrections: F1 ${f1 === null ? '–' : f1.toFixed(2)} (${agreement.correct.items}).`;
    this.tables.replaceChildren(makeNode('h2', '', 'People'), makeTable('How everybody works', head, rows), makeNode('p', '', `Agreement of two people. ${words}`), makeNode('p', 'machines', `Left for machines: ${machines}.`), makeNode('p', 'fits', `The verifier: ${fits}.`));
  }

  private async loadFailures(): Promise<void> {
    const chosen = this.chosen, query = new URLSearchParams([...chosen]).toString();
    const found = await getJson<Failures>(`/api/failures?${query}`);
    if (chosen !== this.chosen) return;
    const facets = makeNode('div', 'facets');
    for (const [facet, values] of Object.entries(found.facets)) facets.append(this.makeFacet(facet, values));
    const list = makeNode('div', 'failures');
    list.append(...found.answers.map((answer) => this.makeFailure(answer)));
    this.failures.replaceChildren(makeNode('h2', '', `Why did it fail? ${found.count} ${found.count === 1 ? 'answer' : 'answers'}`), facets, list);
  }

  private makeFacet(facet: string, values: [string, number][]): HTMLElement {
    const made = makeNode('div', 'facet');
    made.append(makeNode('h3', '', FACET_WORDS[facet] ?? facet));
    for (const [value, count] of values) {
      const link = makeNode('a', '', `${CHOICE_WORDS[value] ?? (value.replaceAll('_', ' ') || 'none')} `);
      link.href = this.buildAddress(facet, value);
      link.append(makeNode('b', '', count));
      if (this.chosen.get(facet) === value) link.setAttribute('aria-current', 'true');
      made.append(link);
    }
    return made;
  }

  /** The address of the items with this value too; of a chosen value, of those without it. */
  private buildAddress(facet: string, value: string): string {
    const wanted = new Map([['view', 'team'], ...this.chosen]);
    if (wanted.get(facet) === value) wanted.delete(facet);
    else wanted.set(facet, value);
    return `/?${new URLSearchParams([...wanted])}`;
  }

  private makeFailure(answer: Failures['answers'][number]): HTMLElement {
    const { person, choice, reason, view } = answer;
    const made = makeNode('figure');
    const words = `${view?.phrase ?? 'removed'}: ${CHOICE_WORDS[choice] ?? choice}${reason ? `, ${reason.replaceAll('_', ' ')}` : ''} (${person})`;
    if (view) {
      const panel = new Panel(this.shelf, CELL_SIDE);
      void panel.show(view, view.focus).then((isShown) => { if (isShown) for (const mask of view.masks) panel.drawMask(mask, 'own'); });
      made.append(panel.node);
    }
    made.append(makeNode('figcaption', '', words));
    if (view) made.append(this.makeTestButton(answer));
    return made;
  }

  /** A button that lets an item test people with this answer as the expected one, or no more. */
  private makeTestButton({ item, choice, gold }: Failures['answers'][number]): HTMLElement {
    const button = makeNode('button', 'test', 'Test others with it');
    button.type = 'button';
    const mark = (expected: string | null): void => {
      button.setAttribute('aria-pressed', String(expected !== null));
      button.title = expected === null ? '' : `expected is: ${CHOICE_WORDS[expected] ?? expected}`;
    };
    mark(gold);
    button.addEventListener('click', () => {
      const expected = button.getAttribute('aria-pressed') === 'true' ? null : choice;
      void this.setGold(item, expected).then((isDone) => { if (isDone) mark(expected); });
    });
    return button;
  }
}
