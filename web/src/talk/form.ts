// The question: one box that grows, Ask or Stop, and earlier questions by the up arrow.
import { forgetText, recallText, rememberText } from '../tab_store.ts';

export interface FormListener {
  readonly isBusy: boolean;
  ask(text: string): void;
  stop(): void;
}

const TALLEST = 120;
/** What is written and not sent outlives that the page is loaded again. */
const DRAFT = 'sam3-draft';

export class QuestionForm {
  private readonly asked: string[] = [];
  /** Which earlier question stands in the box. */
  private recalled = 0;
  private isRestored = false;

  constructor(private readonly listener: FormListener) {
    document.addEventListener('submit', (event) => { if (event.target === this.form) this.submit(event); });
    document.addEventListener('click', (event) => { if ((event.target as Element).closest?.('#query .stop')) listener.stop(); });
    document.addEventListener('input', (event) => { if (event.target === this.box) this.noteDraft(); });
    document.addEventListener('keydown', (event) => { if (event.target === this.box) this.takeKey(event); });
  }

  private get form(): HTMLFormElement | null {
    return document.querySelector('#query');
  }

  private get box(): HTMLTextAreaElement | null {
    return document.querySelector('#question');
  }

  draw(awake: boolean, busy: boolean, stop: string, placeholder: string): void {
    const { form, box } = this;
    if (!form || !box) return;
    box.disabled = !awake;
    box.placeholder = placeholder || 'all the watermelons';
    if (awake && !this.isRestored) this.restoreDraft();
    const send = form.querySelector<HTMLElement>('.send'), end = form.querySelector<HTMLElement>('.stop');
    if (!send || !end) return;
    send.hidden = busy;
    end.hidden = !busy;
    end.textContent = stop;
  }

  private noteDraft(): void {
    rememberText(DRAFT, this.box?.value ?? '');
    this.fit();
  }

  private restoreDraft(): void {
    this.isRestored = true;
    this.offer(recallText(DRAFT) ?? '');
  }

  /** What goes back to where it can be sent again, unless something else is there by now. */
  offer(text: string): void {
    if (!this.box || this.box.value || !text) return;
    this.box.value = text;
    this.noteDraft();
  }

  remember(text: string): void {
    this.asked.push(text);
    this.recalled = this.asked.length;
  }

  private submit(event: Event): void {
    event.preventDefault();
    const { box } = this;
    if (!box?.value.trim() || this.listener.isBusy) return;
    const text = box.value;
    box.value = '';
    forgetText(DRAFT);
    this.fit();
    this.listener.ask(text);
  }

  private fit(): void {
    const { box } = this;
    if (!box) return;
    box.style.height = 'auto';
    box.style.height = `${Math.min(box.scrollHeight + 2, TALLEST)}px`;
  }

  private takeKey(event: KeyboardEvent): void {
    const { box, asked } = this;
    if (!box || event.isComposing) return;
    const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.form?.requestSubmit();
    } else if (way && asked.length && (!box.value || box.value === asked[this.recalled])) {
      event.preventDefault();
      this.recalled = Math.min(Math.max(this.recalled + way, 0), asked.length);
      box.value = asked[this.recalled] ?? '';
    }
  }
}
