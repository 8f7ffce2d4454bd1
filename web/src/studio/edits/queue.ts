// Edits are made one after the other: while a request is under way, the next ones wait, and go together.
import type { ServerFunctions } from '../../gradio.ts';
import { describeParts, tellParts } from '../../page_parts.ts';
import { forgetText, recallText, rememberText } from '../../tab_store.ts';
import type { Edit, EditReply } from '../types.ts';

const BATCH = 32;
/** Milliseconds before the first new try, and between later ones at most. */
const FIRST_WAIT = 500, LONGEST_WAIT = 8000;
/** What no server has answered outlives that the page is loaded again: Gradio does so once the network is back. */
const UNSENT = 'sam3-unsent';
const SILENT_NOTE = 'The server does not answer; your clicks are kept.';

export interface EditContext {
  session: string;
  sam3: string;
  /** Of the image that is shown. */
  key: string;
  revision: string;
}

export interface EditListener {
  getContext(): EditContext;
  applyReply(reply: EditReply, last: Edit): void;
  refuse(note: string): void;
  /** The edits under way are others now. */
  notice(): void;
  /** Edits are made of which the other parts of the page were not told. */
  settle(): void;
}

interface Unsent {
  session: string;
  page: string;
  made: number;
  waiting: Waiting[];
}

interface Waiting {
  edit: Edit;
  /** Of the image that was shown when it was made. */
  key: string;
}

export class EditQueue {
  private waiting: Waiting[] = [];
  private sent: Waiting[] = [];
  /** Edits that the server has answered. */
  private made = 0;
  private page = crypto.getRandomValues(new Uint32Array(3)).join('-');
  private isSilent = false;

  constructor(private readonly server: ServerFunctions, private readonly listener: EditListener) {}

  get isEmpty(): boolean {
    return !this.sent.length && !this.waiting.length;
  }

  /** The masks that are to be the answer, where that is still under way. */
  get keptIds(): number[] | null {
    const kept = [...this.sent, ...this.waiting].map(({ edit }) => edit).reverse().find((edit) => edit.kind === 'keep');
    return kept?.kind === 'keep' ? kept.ids : null;
  }

  send(edit: Edit): void {
    const last = this.waiting.at(-1)?.edit, { key } = this.listener.getContext();
    if (last?.kind === edit.kind && (edit.kind === 'keep' || edit.kind === 'threshold')) this.waiting.pop();
    this.waiting.push({ edit, key });
    if (this.isSilent) this.keepUnsent();
    this.listener.notice();
    void this.flush();
  }

  /** Send what the page before a reload could not, once the session is known. */
  resume(): void {
    const { session } = this.listener.getContext(), kept = JSON.parse(recallText(UNSENT) ?? 'null') as Unsent | null;
    forgetText(UNSENT);
    if (kept?.session !== session || !this.isEmpty) return;
    this.page = kept.page;
    this.made = kept.made;
    this.waiting = kept.waiting;
    this.listener.notice();
    void this.flush();
  }

  private keepUnsent(): void {
    const { session } = this.listener.getContext(), waiting = [...this.sent, ...this.waiting];
    rememberText(UNSENT, JSON.stringify({ session, page: this.page, made: this.made, waiting } satisfies Unsent));
  }

  private async flush(): Promise<void> {
    if (this.sent.length) return;
    let isTold = false;
    while (this.waiting.length) {
      const { key: shown } = this.waiting[0]!, other = this.waiting.findIndex(({ key }) => key !== shown);
      this.sent = this.waiting.splice(0, Math.min(BATCH, other < 0 ? BATCH : other));
      const reply = await this.request(shown);
      const last = this.sent.at(-1)?.edit;
      this.sent = [];
      if (reply.error || !last) {
        this.waiting = [];
        isTold = false;
        this.listener.refuse(reply.error ?? '');
        break;
      }
      this.made = reply.done;
      const { key = '', revision = '' } = reply.state;
      isTold = Boolean(reply.parts && !reply.moved);
      if (isTold) tellParts(reply.parts ?? {}, { key, revision });
      this.listener.applyReply(reply, last);
    }
    this.listener.notice();
    if (!isTold) this.listener.settle();
  }

  /** The same edits are asked for until the server answers; it makes none of them twice. */
  private async request(key: string): Promise<EditReply> {
    for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        const edits = this.sent.map(({ edit }) => edit);
        const asked = { ...this.listener.getContext(), key, page: this.page, first: this.made, edits, ...describeParts() };
        const reply = await this.server.apply_edits!(asked) as EditReply;
        if (this.isSilent) forgetText(UNSENT);
        this.isSilent = false;
        return reply;
      } catch {
        this.isSilent = true;
        this.keepUnsent();
        this.listener.refuse(SILENT_NOTE);
        await new Promise((done) => { setTimeout(done, wait); window.addEventListener('online', done, { once: true }); });
      }
    }
  }
}
