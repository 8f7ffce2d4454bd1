// Answers on their way to the server: kept in the browser until it has acknowledged them.
import { isOffline, postJson } from './server.ts';
import type { Answer, Told } from './types.ts';

const RETRY = 2000;
const PORTION = 50;
const UNSTORED_NOTE = 'this browser stores nothing for this page: leave it open until your answers are sent';
const DONE = new Set(['kept', 'repeated', 'answered', 'unknown']);

interface Reply {
  statuses: Record<string, string>;
  told: Record<string, Told>;
}

interface Listener {
  onChange(waiting: number, offline: boolean): void;
  onTold(answer: Answer, told: Told): void;
  onRefused(message: string, answer: Answer | null): void;
}

export class Outbox {
  private readonly place: string;
  private sending: Promise<void> | null = null;
  private timer = 0;
  /** All that waits, where the browser does not store it: it is full, or forbids it. */
  private unstored: Answer[] | null = null;
  offline = false;

  constructor(person: string, private readonly listener: Listener) {
    this.place = `sam3-review-answers:${person}`;
    addEventListener('online', () => void this.flush());
    this.report();
  }

  list(): Answer[] {
    return this.unstored ?? this.read();
  }

  private read(): Answer[] {
    try {
      return JSON.parse(localStorage.getItem(this.place) ?? '[]') as Answer[];
    } catch {
      return []; // the browser stores nothing, or something else than answers
    }
  }

  add(answers: Answer[]): void {
    this.write([...this.list(), ...answers]);
    void this.flush();
  }

  /** Take back the latest answer, and those of its batch, that the server has not got; the ids of their items. */
  takeBack(): number[] {
    const held = this.list(), last = held.at(-1);
    if (!last) return [];
    const taken = held.filter((one) => one.id === last.id || (last.batch && one.batch === last.batch));
    this.write(held.filter((one) => !taken.includes(one)));
    return taken.map((one) => one.item);
  }

  /** Send all that waits; resolves when it is sent, or when there is no connection. */
  async flush(): Promise<void> {
    this.sending ??= this.send().finally(() => { this.sending = null; });
    await this.sending;
    if (!this.offline && this.list().length) await this.flush();
  }

  private async send(): Promise<void> {
    clearTimeout(this.timer);
    for (let portion = this.list().slice(0, PORTION); portion.length; portion = this.list().slice(0, PORTION)) {
      try {
        this.settle(portion, await postJson<Reply>('/api/answers', { answers: portion }));
      } catch (error) {
        this.postpone(error);
        return;
      }
    }
    this.setOffline(false);
  }

  private settle(portion: Answer[], { statuses, told }: Reply): void {
    const ids = new Set(portion.map((one) => one.id));
    this.write(this.list().filter((one) => !ids.has(one.id)));
    for (const answer of portion) {
      const status = statuses[answer.id] ?? '';
      if (!DONE.has(status)) this.listener.onRefused(status.replace('invalid: ', ''), answer);
      else this.listener.onTold(answer, told[answer.id] ?? {});
    }
  }

  private postpone(error: unknown): void {
    if (!isOffline(error)) this.listener.onRefused(String((error as Error).message), null);
    this.setOffline(true);
    this.timer = setTimeout(() => void this.flush(), RETRY);
  }

  private setOffline(offline: boolean): void {
    this.offline = offline;
    this.report();
  }

  private write(answers: Answer[]): void {
    try {
      localStorage.setItem(this.place, JSON.stringify(answers));
      this.unstored = null;
    } catch {
      if (!this.unstored) this.listener.onRefused(UNSTORED_NOTE, null);
      this.unstored = answers;
    }
    this.report();
  }

  private report(): void {
    this.listener.onChange(this.list().length, this.offline);
  }
}
