// The review page: signs in, shows one item after the other, and takes answers by keyboard.
import { findNode, limitNumber, makeNode } from '../dom.ts';
import { CorrectionScreen } from './correction.ts';
import { CoverageScreen } from './coverage.ts';
import { GridScreen } from './grid.ts';
import { ImageShelf } from './images.ts';
import { JudgingScreen } from './judging.ts';
import { Outbox } from './outbox.ts';
import { makeButtons, type Area, type Command, type Desk, type Said, type Screen } from './screen.ts';
import { getJson, isOffline, makeId, postJson, RefusedError, setToken } from './server.ts';
import { Supply } from './supply.ts';
import { EDITABLE } from '../studio/tools/keys.ts';
import { recallText, rememberText } from '../tab_store.ts';
import { TeamScreen } from './team.ts';
import { CHOICE_WORDS, REMEMBERED, type Answer, type Item, type Person, type Task, type Told } from './types.ts';

interface Progress {
  /** `open`: the opinions that each stage lacks. */
  rest: { pairs: number; open: Record<string, number>; hours: number; low: number; high: number; money: number | null };
  own: { answers: number; seconds: Record<string, number> } | null;
}

const TASK_WORDS: Record<string, string> = { mv: 'Masks', ev: 'Coverage', correct: 'Correction' };
const REFRESH = 15_000;
const NOTICE = 6000;
const find = <T extends Element = HTMLElement>(selector: string): T => findNode<T>(document, selector);

class Page implements Desk {
  readonly shelf = new ImageShelf();
  private readonly screens: Record<Task, Screen>;
  private readonly correction: CorrectionScreen;
  private readonly supply: Supply;
  private readonly outbox: Outbox;
  private readonly team: TeamScreen;
  private history: Item[][] = [];
  private shown: Item[] | null = null;
  private edited: Item | null = null;
  /** What the work area was asked for and is not open yet: other keys answer nothing until then. */
  private opening: Item | null = null;
  /** Of what is shown. */
  private address = '';
  private shownAt = 0;
  /** What is painted; nobody answers what they cannot see yet. */
  private painted: Item[] | null = null;
  private last: Said | null = null;
  private keyAt = 0;
  private opacity = 0.45;
  private isTeamOpen = false;
  /** Opinions that each stage lacks, as the server last said. */
  private open: Record<string, number> = {};

  constructor(private readonly person: Person) {
    this.correction = new CorrectionScreen(this);
    this.screens = { mv: new JudgingScreen(this), grid: new GridScreen(this), ev: new CoverageScreen(this), correct: this.correction };
    this.team = new TeamScreen(this.shelf, (message) => this.tell(message), (item, choice) => this.setGold(item, choice));
    this.supply = new Supply((group) => this.screens[this.supply.task].prepare(group), () => void this.showNext(), (error) => this.report(error), () => this.outbox.list().map((answer) => answer.item));
    this.outbox = new Outbox(person.name, {
      onChange: (waiting, offline) => this.showConnection(waiting, offline),
      onTold: (answer, told) => this.showTold(answer, told),
      onRefused: (message, answer) => {
        if (answer) this.supply.reopenPair(answer.item);
        this.tell(answer ? `an answer was refused: ${message}` : message);
      },
    });
    this.setOpacity(this.opacity);
    this.listen();
  }

  async start(): Promise<void> {
    find('#sign-in').hidden = true;
    find('#work').hidden = false;
    find('#name').textContent = this.person.name;
    find('#guidelines').textContent = this.person.guidelines || 'This project has no guidelines.';
    find('[data-team]').hidden = find('[data-gold]').hidden = !this.isReviewer;
    void this.outbox.flush();
    setInterval(() => void this.refresh(), REFRESH);
    void this.refresh();
    addEventListener('popstate', () => {
      if (this.mayLeave()) void this.followAddress();
      else history.pushState(null, '', this.address);
    });
    addEventListener('beforeunload', (event) => { if (this.isCorrecting && this.correction.hasWork) event.preventDefault(); });
    await this.followAddress();
  }

  private get isReviewer(): boolean {
    return this.person.role !== 'annotator';
  }

  /** Show what the address says: the team's page with its filter, or the latest task. */
  private async followAddress(): Promise<void> {
    const query = new URLSearchParams(location.search);
    this.address = location.pathname + location.search;
    if (this.isReviewer && query.get('view') === 'team') await this.openTeam(query);
    else await this.chooseTask((recallText('sam3-review-task') as Task | null) ?? 'mv');
  }

  /** Whether the work area is open. */
  private get isCorrecting(): boolean {
    return this.correction.node.isConnected;
  }

  private mayLeave(): boolean {
    return !this.isCorrecting || this.correction.mayLeave();
  }

  private goTo(address: string): void {
    if (address !== location.pathname + location.search) history.pushState(null, '', address);
    void this.followAddress();
  }

  private listen(): void {
    addEventListener('keydown', (event) => this.handleKey(event));
    for (const button of document.querySelectorAll<HTMLButtonElement>('[data-task]')) {
      button.addEventListener('click', () => {
        if (!this.mayLeave()) return;
        rememberText('sam3-review-task', button.dataset.task ?? '');
        this.goTo('/');
      });
    }
    find('[data-team]').addEventListener('click', () => { if (this.mayLeave()) this.goTo('/?view=team'); });
    this.team.node.addEventListener('click', (event) => this.followLink(event));
    find('[data-gold]').addEventListener('click', () => void this.makeTest());
    find('[data-undo]').addEventListener('click', () => void this.undo());
    find('[data-help]').addEventListener('click', () => this.toggleHelp());
    find('[data-close]').addEventListener('click', () => this.toggleHelp());
  }

  private async chooseTask(task: Task): Promise<void> {
    find('#stage').focus(); // else Enter would press the task's button again
    this.closeTeam();
    this.edited = this.shown = this.painted = null;
    document.body.dataset.item = '';
    this.history = [];
    this.markTask(task);
    find('#stage').replaceChildren();
    this.showMessage('Items are being fetched …');
    await this.outbox.flush();
    await this.supply.start(task);
    if (!this.supply.current) this.showNothing();
  }

  private markTask(task: string): void {
    for (const button of document.querySelectorAll<HTMLButtonElement>('[data-task], [data-team]')) {
      const isOwn = (button.dataset.task ?? 'team') === task;
      if (isOwn) button.setAttribute('aria-current', 'page');
      else button.removeAttribute('aria-current');
    }
  }

  /** A link of this page changes what is shown without loading it again. */
  private followLink(event: MouseEvent): void {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[href^="/?"]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.goTo(link.getAttribute('href') ?? '/');
  }

  private async openTeam(query: URLSearchParams): Promise<void> {
    if (!this.isTeamOpen) find('#stage').focus();
    this.isTeamOpen = true;
    this.markTask('team');
    find('#stage').replaceChildren(this.team.node);
    find('#phrase').textContent = 'The team';
    find('#bar').replaceChildren();
    await this.team.open(query);
  }

  private closeTeam(): void {
    this.isTeamOpen = false;
  }

  private get screen(): Screen {
    return this.edited ? this.correction : this.screens[this.supply.task];
  }

  private async showNext(): Promise<void> {
    const group = this.supply.current;
    if (this.isTeamOpen || (group && group === this.shown)) return;
    this.edited = null;
    this.shown = group;
    if (!group) return this.showNothing();
    this.put(this.screen, group[0]?.phrase ?? '');
    await this.screen.show(group);
    if (group !== this.shown) return;
    this.notePainted();
  }

  /** `others`: commands beside those of the screen. */
  private put(screen: Screen, phrase: string, others: Command[] = []): void {
    find('#phrase').textContent = phrase;
    const stage = find('#stage');
    if (stage.firstChild !== screen.node) {
      stage.replaceChildren(screen.node);
      find('#bar').replaceChildren(makeButtons([...screen.commands, ...others]));
    }
  }

  /** Measure from the key to the frame in which the next item is painted. */
  private notePainted(): void {
    const since = this.keyAt, group = this.painted = this.shown;
    this.shownAt = performance.now();
    document.body.dataset.supply = 'held';
    requestAnimationFrame(() => setTimeout(() => {
      if (group !== this.painted) return; // another task was chosen meanwhile
      document.body.dataset.item = String(group?.[0]?.id ?? '');
      if (since) performance.measure('next-item', { start: since, end: performance.now() });
    }));
  }

  private showNothing(): void {
    this.shown = this.painted = null;
    find('#stage').replaceChildren();
    find('#bar').replaceChildren();
    document.body.dataset.supply = this.supply.isEmpty ? 'empty' : 'fetching';
    find('#phrase').textContent = this.supply.isEmpty ? 'Nothing to review' : 'Review';
    document.body.dataset.item = '';
    if (this.outbox.offline) this.showMessage('There is no connection; items come when it is back.');
    else if (!this.supply.isEmpty) this.showMessage('Items are being fetched …');
    else {
      this.showMessage(this.describeEmpty());
      void this.refresh();
    }
  }

  private describeEmpty(): string {
    const own = this.supply.task === 'grid' ? 'mv' : this.supply.task;
    const others = Object.entries(this.open).filter(([stage, count]) => stage !== own && count > 0).map(([stage, count]) => `${TASK_WORDS[stage] ?? stage} (${count})`);
    return `${describeWaiting(this.supply.elsewhere)}${others.length ? ` There is work in ${others.join(' and ')}.` : ''}`;
  }

  private showMessage(words: string): void {
    find('#stage').replaceChildren(makeNode('p', 'empty', words));
  }

  decide(said: Said[]): void {
    const group = this.shown;
    if (!group || group !== this.painted || this.opening) return;
    const seconds = (performance.now() - this.shownAt) / 1000 / said.length, batch = said.length > 1 ? makeId() : '';
    const answers = said.map(({ item, choice, reason = '', content = '' }) => ({ id: makeId(), item, choice, reason, content, seconds, batch }));
    this.history = [...this.history, group].slice(-REMEMBERED);
    this.shown = this.edited = this.painted = null;
    this.last = said.at(-1) ?? null;
    this.outbox.add(answers); // first: what is on its way is not to be given again
    if (said.some(({ choice }) => choice === 'corrected')) this.supply.finishPair(group);
    this.supply.advance();
    void this.showNext();
  }

  tell(message: string): void {
    const node = find('#notice');
    node.textContent = message;
    node.hidden = false;
    setTimeout(() => { if (node.textContent === message) node.hidden = true; }, NOTICE);
  }

  /** Let what was answered last test others, with the answer as the expected one. */
  private async makeTest(): Promise<void> {
    if (!this.last) return this.tell('answer an item first: the answer becomes the expected one of the test');
    const { item, choice } = this.last;
    await this.outbox.flush();
    if (await this.setGold(item, choice)) this.tell(`Your last item is a test of others now; expected is: ${CHOICE_WORDS[choice] ?? choice}.`);
  }

  /** Let an item test people, or (null) no more; whether it was done. */
  private async setGold(item: number, choice: string | null): Promise<boolean> {
    try {
      await postJson('/api/gold', { item, choice });
      return true;
    } catch (error) {
      this.report(error);
      return false;
    }
  }

  edit(item: Item, begin?: (area: Area) => void): void {
    if (this.opening === item || this.edited) return;
    this.opening = item;
    void this.openCorrection(item, begin)
      .catch((error: Error) => this.tell(isOffline(error) ? 'The server does not answer; try again.' : error.message))
      .finally(() => { if (this.opening === item) this.opening = null; });
  }

  private async openCorrection(item: Item, begin?: (area: Area) => void): Promise<void> {
    const { view } = await postJson<{ view: Item }>('/api/edit', { item: item.id });
    if (this.shown?.[0] !== item || this.isTeamOpen || this.opening !== item) return;
    this.opening = null;
    this.edited = view;
    this.put(this.correction, view.phrase, [{ key: 'Esc', word: 'back', kind: 'minor', run: () => this.correction.leave() }]);
    await this.correction.show([view]);
    if (this.edited === view) begin?.(this.correction);
  }

  private async undo(): Promise<void> {
    if (this.isCorrecting && this.correction.takeBack()) return;
    await this.outbox.flush();
    const ids = new Set(this.outbox.takeBack());
    if (ids.size) return this.restore(this.history.find((group) => group.some((item) => ids.has(item.id))) ?? []);
    try {
      const { items } = await postJson<{ items: Item[] }>('/api/undo', { page: this.supply.page });
      if (!items.length) return this.tell('there is nothing more to undo');
      this.restore(items);
    } catch (error) {
      this.report(error);
    }
  }

  private restore(items: Item[]): void {
    const [first] = items;
    if (!first) return;
    const task = first.stage === 'mv' && (items.length > 1 || this.supply.task === 'grid') ? 'grid' : first.stage;
    this.history = this.history.filter((group) => group[0]?.id !== first.id);
    this.shown = this.edited = this.painted = this.last = null;
    this.closeTeam();
    if (task !== this.supply.task) {
      this.supply.task = task;
      this.markTask(task);
    }
    this.supply.putFirst(items);
  }

  private handleKey(event: KeyboardEvent): void {
    const isTyping = (event.target as Element).matches(EDITABLE);
    if ((event.target as Element).closest('dialog:not(#help)')) return; // the keys of the work area, over it
    if (isTyping || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || find('#work').hidden) return;
    if (this.handleOwnKey(event) || this.handleScreenKey(event)) event.preventDefault();
  }

  private handleOwnKey({ key, repeat, target }: KeyboardEvent): boolean {
    if (key === '?') this.toggleHelp();
    else if (find<HTMLDialogElement>('#help').open) return false;
    else if (key.toUpperCase() === 'Z') void (repeat || this.undo()); // whoever holds the key takes no answers back
    else if (key.toUpperCase() === 'K' && this.isReviewer && this.supply.task !== 'grid') void this.makeTest();
    else if (key === ' ' && !(target instanceof HTMLButtonElement)) document.body.classList.toggle('plain');
    else if (key === '[') this.setOpacity(this.opacity - 0.1);
    else if (key === ']') this.setOpacity(this.opacity + 0.1);
    else return false;
    return true;
  }

  private handleScreenKey(event: KeyboardEvent): boolean {
    const isButton = event.target instanceof HTMLButtonElement && !(event.target.classList.contains('cell'));
    if (!this.shown || this.isTeamOpen || find<HTMLDialogElement>('#help').open || (isButton && event.key === 'Enter')) return false;
    if (event.key === 'Tab' && !(event.target === document.body || (event.target as Element).closest('#stage'))) return false;
    this.keyAt = event.timeStamp;
    const command = this.screen.commands.find(({ key }) => key.toUpperCase() === event.key.toUpperCase());
    if (!command) return this.screen.handleKey(event) || (event.key === 'Escape' && this.leave());
    if (!event.repeat) command.run();
    return true;
  }

  leave(): boolean {
    const group = this.shown, wasEdited = this.edited !== null;
    this.edited = this.opening = null;
    if (group && wasEdited) {
      this.put(this.screen, group[0]?.phrase ?? '');
      find('#stage').focus({ preventScroll: true });
      void this.screen.show(group);
    }
    return wasEdited;
  }

  private setOpacity(value: number): void {
    this.opacity = limitNumber(value, 0, 1);
    document.documentElement.style.setProperty('--tint', String(this.opacity));
  }

  private toggleHelp(): void {
    const help = find<HTMLDialogElement>('#help');
    if (help.open) help.close();
    else help.showModal();
  }

  private showConnection(waiting: number, offline: boolean): void {
    const banner = find('#offline');
    banner.hidden = !offline;
    banner.textContent = `There is no connection to the server. ${waiting} answers are kept in this browser and sent when it is back.`;
    document.body.dataset.waiting = String(waiting);
  }

  private showTold(answer: Answer, { model, gold }: Told): void {
    const words: string[] = [];
    if (gold && !gold.right) words.push(`That was a test: you said ${CHOICE_WORDS[answer.choice]}, expected is ${CHOICE_WORDS[gold.expected]}.`);
    if (model) words.push(`The model said: ${CHOICE_WORDS[model.choice]}${model.probability === null ? '' : `, right with ${Math.round(model.probability * 100)} %`}.`);
    const node = find('#told');
    node.textContent = words.join(' ');
    node.classList.toggle('differs', Boolean((gold && !gold.right) || (model && model.choice !== answer.choice)));
  }

  private async refresh(): Promise<void> {
    try {
      const { rest } = await getJson<Progress>('/api/progress');
      this.open = rest.open;
      if (document.body.dataset.supply === 'empty' && !this.isTeamOpen && !this.shown) this.showMessage(this.describeEmpty());
      const money = rest.money === null ? '' : `, ${rest.money.toFixed(2)} in wages`;
      find('#rest').textContent = `${rest.pairs} ${rest.pairs === 1 ? 'pair' : 'pairs'} left, ${formatHours(rest.hours)} (${formatHours(rest.low)} to ${formatHours(rest.high)})${money}`;
    } catch (error) {
      if (!isOffline(error)) this.report(error);
    }
  }

  private report(error: unknown): void {
    if (error instanceof RefusedError && error.status === 401) location.reload();
    else if (isOffline(error)) void this.outbox.flush();
    else this.tell((error as Error).message);
  }
}

/** Say why there is nothing: all is done, or open on pages of which nobody knows yet that they are gone. */
function describeWaiting(elsewhere: number): string {
  if (!elsewhere) return 'There is nothing to do here now. Choose another task, or wait: this page looks again by itself.';
  const items = elsewhere === 1 ? 'The one item that is left is' : `The ${elsewhere} items that are left are`;
  return `${items} open on another page. What is not answered there comes here by itself, within two minutes after that page was closed, crashed or lost its connection.`;
}

function formatHours(hours: number): string {
  return hours < 1 ? `${Math.ceil(hours * 60)} min` : `${hours.toFixed(1)} h`;
}

async function signIn(): Promise<void> {
  try {
    await new Page(await getJson<Person>('/api/me')).start();
  } catch (error) {
    const isAsked = error instanceof RefusedError && error.status === 401;
    setToken('');
    find('#sign-in').hidden = false;
    find('#refused').textContent = isAsked ? find('#refused').dataset.next ?? '' : (error as Error).message;
    find('#refused').dataset.next = 'This token is not known. Ask whoever gave it to you.';
    find<HTMLInputElement>('#token').focus();
  }
}

find('#sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  setToken(find<HTMLInputElement>('#token').value.trim());
  void signIn();
});
void signIn();
