// What is under way: in words, with seconds, and the thought of the language model while it comes.
import { makeNode, setText } from '../dom.ts';
import type { Pending } from './types.ts';

export class WaitingLine {
  readonly node = makeNode('div', 'waiting');
  private readonly line = makeNode('p', 'pending');
  private readonly title = makeNode('span', 'what');
  private readonly clock = makeNode('span', 'clock');
  private readonly thought = makeNode('details', 'streamed');
  private readonly words = makeNode('p');
  private since = performance.now();
  /** The reply that is shown, counted by the server. */
  private reply = 0;

  constructor() {
    this.line.setAttribute('role', 'status');
    this.clock.setAttribute('aria-hidden', 'true'); // or a reader would say every second
    this.line.append(this.title, this.clock);
    this.thought.append(makeNode('summary', '', 'Thinks aloud'), this.words);
    this.thought.open = true;
    this.node.append(this.line, this.thought);
    this.clear();
  }

  /** What is shown of the thought: the number of the reply, and how many characters. */
  get heard(): [number, number] {
    return [this.reply, this.text.length];
  }

  private get text(): string {
    return this.words.textContent ?? '';
  }

  show(pending: Pending): void {
    this.since = performance.now() - pending.seconds * 1000;
    this.say(pending.title);
    const { thought } = pending;
    if (!thought) return this.clear();
    setText(this.words, (thought.reply === this.reply ? this.text.slice(0, thought.from) : '') + thought.text);
    this.reply = thought.reply;
    this.thought.hidden = false;
    this.words.scrollTop = this.words.scrollHeight;
  }

  say(title: string): void {
    if (this.title.textContent !== title) this.title.textContent = title;
    this.tick();
  }

  begin(title: string): void {
    this.since = performance.now();
    this.clear();
    this.say(title);
  }

  tick(): void {
    const seconds = Math.round((performance.now() - this.since) / 1000);
    setText(this.clock, seconds > 0 ? ` ${seconds} s` : '');
  }

  private clear(): void {
    this.reply = 0;
    this.words.textContent = '';
    this.thought.hidden = true;
  }
}
