// The conversation: what is shown of it, and the questions to the server, which says only what has changed.
import { findNode, makeNode } from '../dom.ts';
import type { Host } from '../gradio.ts';
import { makeEntry, makeQuery } from './entries.ts';
import { QuestionForm } from './form.ts';
import { makeButton, tellPage } from './parts.ts';
import { Sharer } from './sharing.ts';
import { recallSession } from '../tab_store.ts';
import type { Canvas, Entry, News, Pending, TalkHost, TalkValue } from './types.ts';
import { WaitingLine } from './waiting.ts';

const WELCOME = 'Name anything in your image or video and I outline it. Drop a file, or tap an example to see how.';
const GONE_NOTE = 'The server did not take it. It is in the box below; send it again.';
/** Pixels: nearer to its end, the talk follows what is added. */
const NEAR_END = 60;
/** Milliseconds before the first new try, and between later ones at most. */
const FIRST_WAIT = 500, LONGEST_WAIT = 8000;

/** How often, and after how many milliseconds, the server is asked again what may be asked. */
const MOST_TRIES = 15, SECOND_LOOK = 2000;

interface Shown {
  entry: Entry;
  node: HTMLElement;
}

export interface Models {
  planner: string;
  sam3: string;
}

interface Question {
  text: string;
  place?: number;
  beside?: boolean;
}

export class Talk implements TalkHost {
  private readonly chat: HTMLElement;
  private readonly chips: HTMLElement;
  private readonly news: HTMLElement;
  private readonly waiting = new WaitingLine();
  private readonly sharer: Sharer;
  private readonly form = new QuestionForm(this);
  private shown: Shown[] = [];
  private pending: Pending | null = null;
  /** My question until the server has taken it. */
  private sent: Question | null = null;
  /** What is asked once an image is there. */
  private planned = '';
  private version = 0;
  private suggestions: string[] = [];
  private placeholder = '';
  private awake = false;
  private isFollowing = false;
  /** A window that is turned or made smaller goes on showing the end of the talk. */
  private isAtEnd = true;
  /** What the canvas shows. */
  private canvas = { key: '', revision: '' };

  /** Who answers the next question. */
  private models: Models;

  constructor(private readonly host: Host) {
    this.models = { planner: String(host.props.planner ?? ''), sam3: String(host.props.sam3 ?? '') };
    this.chat = findNode(host.element, '#chat');
    this.chips = findNode(host.element, '.suggestions');
    this.news = findNode(host.element, '.news');
    this.sharer = new Sharer(findNode(host.element, '.share'), findNode(host.element, '.share-note'), () => this.fetch('share', {}));
    setInterval(() => this.waiting.tick(), 500);
    this.chat.addEventListener('scroll', () => { this.isAtEnd = this.isNearEnd; });
    new ResizeObserver(() => { if (this.isAtEnd) this.chat.scrollTop = this.chat.scrollHeight; }).observe(this.chat);
  }

  private get isNearEnd(): boolean {
    return this.chat.scrollHeight - this.chat.scrollTop - this.chat.clientHeight < NEAR_END;
  }

  get planners(): string[] {
    return (this.host.props.planners ?? []) as string[];
  }

  get isBusy(): boolean {
    return Boolean(this.pending || this.sent);
  }

  chooseModels(models: Models): void {
    this.models = models;
    this.host.element.dataset.planner = models.planner;
  }

  noteCanvas(canvas: Canvas): void {
    this.canvas = { key: canvas.key, revision: canvas.revision };
    this.sharer.update(canvas);
  }

  // what the server says

  /** The whole talk, as it comes with the page, an image or a file. */
  update(): void {
    const value = this.host.props.value as TalkValue | null;
    if (!value?.serial) return;
    this.awake = true;
    if ((value.version ?? 0) < this.version) return; // something newer is shown already
    this.apply({ ...value, version: value.version ?? 0, keep: 0, tail: value.entries, canvas: null });
    if (this.pending) void this.follow();
    else if (this.planned && this.shown.some(({ entry }) => entry.kind === 'image')) this.askPlanned();
    else if (!this.suggestions.length) void this.suggest();
  }

  /** What may be asked of an image that nothing was asked about yet; the server may need a moment to look. */
  private async suggest(): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { version } = this, { queries = [] } = await this.fetch<{ queries?: string[] | null }>('suggest', {}).catch(() => ({ queries: [] }));
      if (this.isBusy || this.version !== version) return;
      if (queries) {
        this.suggestions = queries;
        return this.draw();
      }
      await new Promise((done) => setTimeout(done, SECOND_LOOK));
    }
  }

  private apply(news: News): void {
    const before = this.shown.length, stuck = this.isNearEnd, wasShown = this.version > 0, wasBusy = this.isBusy;
    const known = new Map(this.shown.map((one) => [one.entry.key, one]));
    const tail = news.tail.flatMap((entry) => {
      const old = known.get(entry.key);
      if (old) return [old];
      return 'kind' in entry ? [{ entry, node: makeEntry(entry, this) }] : [];
    });
    this.shown = [...this.shown.slice(0, news.keep), ...tail];
    this.version = news.version;
    this.suggestions = news.suggestions;
    this.placeholder = news.placeholder;
    this.sent = null;
    this.pending = news.pending;
    if (news.pending) this.waiting.show(news.pending);
    if (news.canvas) tellPage('sam3-change', news.canvas);
    if (wasShown && !news.pending && (news.tail.length || wasBusy)) tellPage('sam3-said', null); // also where no mask changed
    this.draw();
    if (stuck || this.shown.length !== before) this.chat.scrollTop = this.chat.scrollHeight;
    if (this.shown.length !== before) this.sayNews();
  }

  /** Only what ends an answer is read aloud. */
  private sayNews(): void {
    const last = this.shown.at(-1)?.entry;
    if (!this.pending && last && 'text' in last && last.kind !== 'query') this.news.textContent = last.text;
  }

  /** Show what has changed, and go on until nothing is under way any more. */
  async follow(): Promise<void> {
    if (this.isFollowing) return;
    this.isFollowing = true;
    try {
      do await this.look(true);
      while (this.pending);
    } finally {
      this.isFollowing = false;
    }
  }

  /** Show what has changed since the server was last asked. */
  async look(withCanvas: boolean): Promise<void> {
    for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        const asked = { ...this.describe(), ...(withCanvas ? { canvas: this.canvas.key, revision: this.canvas.revision } : {}) };
        const news = await this.fetch<News>('follow', asked);
        if (news.error) return this.refuse(news.error);
        return this.apply(news);
      } catch {
        if (!this.pending) return;
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }

  /** What is shown, as the server is told it. */
  describe(): Record<string, unknown> {
    return { version: this.version, keys: this.shown.map((one) => one.entry.key), heard: this.waiting.heard, wait: Boolean(this.pending) };
  }

  /** Show what a reply to an edit says. */
  take(news: News): void {
    if (news.version >= this.version && !this.isBusy) this.apply(news);
  }

  private refuse(error: string): void {
    this.pending = this.sent = null;
    this.draw();
    this.chat.append(makeEntry({ key: '', kind: 'error', text: error }, this));
    this.chat.scrollTop = this.chat.scrollHeight;
  }

  // what the visitor does

  ask(text: string, how: { place?: number; planner?: string; beside?: boolean } = {}): void {
    if (this.isBusy || !text.trim()) return;
    const { place, planner = this.models.planner, beside } = how, { sam3 } = this.models;
    this.sent = { text, ...(place === undefined ? {} : { place }), ...(beside ? { beside } : {}) };
    if (!beside) this.form.remember(text);
    this.waiting.begin('Sending your question');
    this.draw();
    this.chat.scrollTop = this.chat.scrollHeight;
    void this.send({ query: text, planner, sam3, place: place ?? null, beside: Boolean(beside) });
  }

  /** Ask this as soon as an image is there; nothing where it is empty. */
  plan(text: string): void {
    this.planned = text;
  }

  private askPlanned(): void {
    const text = this.planned;
    this.planned = '';
    this.ask(text);
  }

  private async send(question: Record<string, unknown>): Promise<void> {
    const error = await this.fetch<{ error?: string }>('ask', question).then((reply) => reply.error, () => GONE_NOTE);
    if (error) {
      if (this.sent && !this.sent.beside) this.form.offer(this.sent.text);
      return this.refuse(error);
    }
    await this.follow();
  }

  stop(): void {
    this.waiting.say('Stopping');
    void this.fetch('stop', {}).catch(() => undefined);
  }

  show(branch: number): void {
    if (this.isBusy) return;
    void this.fetch('switch', { branch }).then(() => this.look(true));
  }

  fetch<T>(name: string, asked: Record<string, unknown>): Promise<T> {
    const call = this.host.server[name];
    if (!call) throw new Error(`the server has no ${name}`);
    return call({ session: recallSession(), ...asked }) as Promise<T>;
  }

  offer(text: string): void {
    this.form.offer(text);
  }

  // what is drawn

  draw(): void {
    const asked = this.sent, cut = asked?.place !== undefined && !asked.beside ? this.findPlace(asked.place) : this.shown.length;
    const nodes = this.shown.slice(0, cut).map((one) => one.node);
    if (asked && !asked.beside) nodes.push(makeQuery({ text: asked.text }, this));
    if (this.isBusy) nodes.push(this.waiting.node);
    if (!nodes.length) nodes.push(makeNode('p', 'welcome', WELCOME));
    nodes.forEach((node, place) => { if (this.chat.children[place] !== node) this.chat.insertBefore(node, this.chat.children[place] ?? null); });
    while (this.chat.children.length > nodes.length) this.chat.lastChild?.remove();
    const texts = this.isBusy ? [] : this.suggestions;
    this.chips.replaceChildren(...texts.map((text) => makeButton('suggestion', text, () => this.ask(text))));
    this.form.draw(this.awake, this.isBusy, this.pending?.isQueued ? 'Cancel' : 'Stop', this.placeholder);
  }

  /** Which entry is the question at this place of the conversation. */
  private findPlace(place: number): number {
    const found = this.shown.findIndex(({ entry }) => entry.kind === 'query' && entry.turn === place);
    return found < 0 ? this.shown.length : found;
  }
}
