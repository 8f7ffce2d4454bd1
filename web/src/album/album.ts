// The state of the film strip, and what is asked of the server for it.
import type { Host } from '../gradio.ts';
import { recallSession } from '../tab_store.ts';
import type { AlbumReply, ClassInfo, Entry, Measure, Run } from './types.ts';

/** Milliseconds between two looks while a question goes over all images. */
const LOOK_INTERVAL = 1000;

export interface AlbumView {
  draw(): void;
  showNotes(notes: string[]): void;
  showMeasure(measure: Measure): void;
}

export class Album {
  readonly entries = new Map<number, Entry>();
  order: number[] = [];
  classes: ClassInfo[] = [];
  current: number | null = null;
  run: Run | null = null;
  byClass = false;
  tolerance = 0;
  /** The SAM 3 that is chosen; '' for the one that the page was started with. */
  sam3 = '';
  /** Of what is shown, as the server knows it. */
  token = '';
  private timer = 0;
  private line: Promise<unknown> = Promise.resolve();
  view: AlbumView | null = null;
  /** Told of the images that have changed, and of those that were taken out. */
  onRows: (rows: AlbumReply['entries'], gone: number[]) => void = () => undefined;

  constructor(private readonly host: Host) {}

  get session(): string {
    return recallSession();
  }

  get isRunning(): boolean {
    return this.run !== null && !this.run.ended;
  }

  /** The entry so many places further on; null beyond the ends. */
  findNeighbour(step: number): number | null {
    const place = this.order.indexOf(this.current ?? -1);
    return this.order[place + step] ?? null;
  }

  look(): Promise<void> {
    return this.request({ kind: 'look' });
  }

  /** Requests go one after the other, so that replies come in order. */
  request(asked: Record<string, unknown>): Promise<void> {
    const done = this.line.then(() => this.send(asked));
    this.line = done.catch(() => undefined);
    return done;
  }

  private async send(asked: Record<string, unknown>): Promise<void> {
    if (!this.session && asked.kind === 'look') return;
    while (!this.session) await new Promise((begun) => window.addEventListener('sam3-question', begun, { once: true })); // a file that was dropped before the session began
    let reply: AlbumReply;
    try {
      reply = await this.host.server.album!({ ...asked, session: this.session, token: this.token }) as AlbumReply;
    } catch {
      if (asked.kind !== 'look') this.view?.showNotes(['The server does not answer; try again.']);
      if (this.isRunning) this.lookLater();
      return;
    }
    if (reply.error) this.view?.showNotes([reply.error]);
    else this.take(reply, asked.kind !== 'look');
  }

  take(reply: AlbumReply, isAct: boolean): void {
    const asked = this.current === null ? null : this.entries.get(this.current);
    const wasAsked = asked?.asked ?? false, wasRunning = this.isRunning;
    for (const row of reply.entries) this.entries.set(row.id, { ...this.entries.get(row.id), ...row } as Entry);
    const { token, order = this.order, classes = this.classes, current = this.current, run = this.run, tolerance = this.tolerance } = reply;
    Object.assign(this, { token, order, classes, current, run, tolerance });
    this.byClass = reply.by_class ?? this.byClass;
    const gone = [...this.entries.keys()].filter((id) => !order.includes(id));
    for (const id of gone) this.entries.delete(id);
    const isAsked = this.current !== null && (this.entries.get(this.current)?.asked ?? false);
    const isAnswered = (wasAsked && !isAsked) || (wasRunning && !this.isRunning);
    if (reply.moved || reply.redraw || isAnswered) window.dispatchEvent(new CustomEvent('sam3-moved'));
    if (isAct || reply.notes?.length) this.view?.showNotes(reply.notes ?? []);
    if (reply.measure) this.view?.showMeasure(reply.measure);
    this.onRows(reply.entries, gone);
    this.view?.draw();
    window.clearTimeout(this.timer);
    if (this.isRunning) this.lookLater();
  }

  private lookLater(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look(), LOOK_INTERVAL);
  }
}
