// Plays a video frame by frame, and shows in which of its frames each object is.
import { findNode, limitNumber, makeNode, setText } from '../dom.ts';
import type { StudioState } from './state.ts';
import type { MaskRow, Subject } from './types.ts';

export class FilmPlayer {
  private readonly film: HTMLVideoElement;
  private readonly scrub: HTMLInputElement;
  private readonly bars: HTMLElement;

  constructor(private readonly root: HTMLElement, private readonly state: StudioState, private readonly redraw: () => void) {
    this.film = findNode(root, '.film');
    this.scrub = findNode(root, '.scrub');
    this.bars = findNode(root, '.bars');
    this.connect();
  }

  get count(): number {
    return (this.state.value.film?.edges.length ?? 1) - 1;
  }

  private get edges(): number[] {
    return this.state.value.film?.edges ?? [0, 0];
  }

  show(subject: Subject): void {
    this.film.pause();
    this.state.moment = 0;
    this.scrub.max = String(Math.max(0, this.count - 1));
    if (subject.film) this.film.src = subject.film;
    else this.film.removeAttribute('src');
    this.film.load();
    if (subject.film) this.seek(0);
  }

  seek(index: number): void {
    if (!this.state.value.film) return;
    const moment = limitNumber(index, 0, this.count - 1);
    this.state.moment = moment;
    this.film.currentTime = (this.edges[moment]! + this.edges[moment + 1]!) / 2;
    this.state.corner = null;
    this.redraw();
  }

  step(count: number): void {
    this.film.pause();
    this.seek(this.state.moment + count);
  }

  toggle(): void {
    if (!this.film.paused) return this.film.pause();
    if (this.state.moment >= this.count - 1) this.seek(0);
    void this.film.play();
  }

  /** Whether a key moves in time. */
  takeKey(event: KeyboardEvent): boolean {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way) this.step(way * (event.shiftKey ? 10 : 1));
    else if (event.key === ' ') this.toggle();
    else return false;
    event.preventDefault();
    return true;
  }

  draw(): void {
    const { film, active } = this.state.value, moment = this.state.moment;
    if (!film) return;
    const edges = film.edges, whole = edges.at(-1)!, start = edges[moment]!;
    if (document.activeElement !== this.scrub || Number(this.scrub.value) !== moment) this.scrub.value = String(moment);
    this.scrub.setAttribute('aria-valuetext', `${formatTime(start)}, frame ${moment + 1} of ${this.count}`);
    setText(findNode(this.root, '.clock'), `${formatTime(start)} / ${formatTime(whole)}`);
    const chosen = this.state.listChosen();
    const key = chosen.map((mask) => `${mask.id}:${mask.spans?.join()}`).join(' ') + active;
    if (this.bars.dataset.key !== key) {
      this.bars.dataset.key = key;
      this.bars.replaceChildren(...chosen.sort((a, b) => a.id - b.id).map((mask) => this.buildBar(mask)));
    }
    findNode(this.root, '.time').style.setProperty('--now', `${(start + edges[moment + 1]!) / 2 / whole * 100}%`);
  }

  private buildBar(mask: MaskRow): HTMLElement {
    const edges = this.edges, whole = edges.at(-1)!, spans = mask.spans ?? [];
    const bar = makeNode('div', mask.id === this.state.value.active ? 'track active' : 'track');
    bar.dataset.id = String(mask.id);
    const times = spans.map(([start, stop]) => `${formatTime(edges[start]!)} to ${formatTime(edges[stop]!)}`);
    bar.title = `${mask.id} · ${mask.phrase}: ${times.join(', ')}`;
    bar.style.setProperty('--color', mask.color);
    for (const [start, stop] of spans) {
      const part = bar.appendChild(makeNode('i'));
      part.style.left = `${edges[start]! / whole * 100}%`;
      part.style.width = `${(edges[stop]! - edges[start]!) / whole * 100}%`;
    }
    return bar;
  }

  private connect(): void {
    findNode(this.root, '.time').addEventListener('keydown', (event) => {
      if (event.key === ' ' && (event.target as Element).closest('button')) return; // that presses it
      this.takeKey(event);
    });
    this.scrub.addEventListener('input', () => { this.film.pause(); this.seek(Number(this.scrub.value)); });
    this.bars.addEventListener('click', (event) => this.seekBar(event));
    for (const kind of ['play', 'pause', 'ended']) {
      this.film.addEventListener(kind, () => {
        findNode(this.root, '[data-do=play]').setAttribute('aria-pressed', String(!this.film.paused));
        if (this.film.paused) this.seek(this.state.moment);
      });
    }
    this.film.requestVideoFrameCallback?.((_, shown) => this.follow(shown));
  }

  private follow(shown: VideoFrameCallbackMetadata): void {
    if (this.state.value.film && !this.film.paused) {
      const next = this.edges.findIndex((edge) => edge > shown.mediaTime + 1e-4);
      this.state.moment = limitNumber((next < 0 ? this.count : next) - 1, 0, this.count - 1);
      this.redraw();
    }
    this.film.requestVideoFrameCallback((_, later) => this.follow(later));
  }

  private seekBar(event: MouseEvent): void {
    const box = this.bars.getBoundingClientRect();
    const time = (event.clientX - box.left) / box.width * this.edges.at(-1)!;
    this.film.pause();
    this.seek(this.edges.findIndex((edge) => edge > time) - 1);
    const bar = (event.target as Element).closest<HTMLElement>('.track');
    if (bar) {
      this.state.chooseMask(Number(bar.dataset.id));
      this.redraw();
    }
  }
}

function formatTime(seconds: number): string {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`;
}
