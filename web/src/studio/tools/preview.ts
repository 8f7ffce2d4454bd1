// Shows what a click would find where the pointer rests: one request at a time, and an answer that comes too late is dropped.
import { findNode } from '../../dom.ts';
import { setAttributes } from '../../canvas/svg.ts';
import type { Point } from '../../canvas/types.ts';
import type { Studio } from '../studio.ts';

interface Answer {
  ready: boolean;
  path: string;
  score: number;
}

/** Milliseconds: between two requests, and after one that found the image not encoded yet. */
const REST = 50, LONG_REST = 500;

export class Preview {
  private wanted: Point | null = null;
  private shown = '';
  private isAsking = false;
  private readonly path: SVGElement;

  constructor(private readonly studio: Studio) {
    this.path = findNode<SVGElement>(studio.stage, '.preview');
  }

  /** Ask what is at a pixel; null asks for nothing, and shows nothing. */
  follow(at: Point | null): void {
    const { host: { server }, canPreview } = this.studio;
    this.wanted = at && server.preview_mask && canPreview ? at : null;
    if (!this.wanted) this.show('');
    else if (!this.isAsking) void this.ask();
  }

  private async ask(): Promise<void> {
    this.isAsking = true;
    while (this.wanted) {
      const at = this.wanted, { key } = this.studio.state.value;
      const { session, sam3 } = this.studio.getContext();
      const asked = this.studio.host.server.preview_mask!({ session, sam3, key, x: at[0], y: at[1] });
      const answer = await asked.catch(() => ({ ready: false, path: '', score: 0 })) as Answer;
      const isCurrent = this.wanted !== null && key === this.studio.state.value.key && this.studio.canPreview;
      this.show(isCurrent ? answer.path : '');
      if (this.wanted === at && answer.ready) break;
      await new Promise((done) => setTimeout(done, answer.ready ? REST : LONG_REST));
    }
    this.isAsking = false;
  }

  private show(path: string): void {
    if (path === this.shown) return;
    this.shown = path;
    setAttributes(this.path, { d: path });
    this.studio.stage.dataset.preview = path ? 'yes' : 'no';
  }
}
