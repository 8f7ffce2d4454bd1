// Says when the server is gone, and what was lost with it. A new server does not know this page, so the page begins anew.
import { makeNode } from '../dom.ts';
import { forgetText, recallText, rememberText } from '../tab_store.ts';

/** Milliseconds between two looks: seldom while all is well, because each costs every visitor's server. */
const INTERVAL = 8000, GONE_INTERVAL = 2000;
const WORK = 'sam3-work';

export class ServerWatcher {
  /** The server that this page came from. */
  private home: string | null = null;
  private gone: HTMLElement | null = null;
  private said: HTMLElement | null = null;
  private lost = '';

  /** Images that the browser kept and offers back, so they are not lost. */
  private offered: string[] = [];

  constructor(private readonly element: HTMLElement) {
    window.addEventListener('sam3-offered', (event) => {
      this.offered = (event as CustomEvent<string[]>).detail;
      if (this.offered.includes(this.lost)) this.said?.remove();
    });
    void this.look();
  }

  /** Remember what is being worked on, to say what is lost with this server. */
  noteWork(name: string): void {
    if (this.home) rememberText(WORK, JSON.stringify([this.home, name || 'your image']));
  }

  private async look(): Promise<void> {
    try {
      const { app_id: id } = await (await fetch('gradio_api/app_id', { cache: 'no-store' })).json() as { app_id: string };
      if (this.home === null) this.sayWhatIsLost(id);
      this.home ??= id;
      if (id !== this.home) return location.reload();
      this.gone?.remove();
      this.gone = null;
    } catch {
      this.gone ??= this.append(makeNode('div', 'gone', 'The server does not answer: it was stopped, or the network is gone.'));
    }
    setTimeout(() => void this.look(), this.gone ? GONE_INTERVAL : INTERVAL);
  }

  /** Nothing is lost without a word, whoever reloads the page first: this script or Gradio's. */
  private sayWhatIsLost(server: string): void {
    const [worked, lost] = JSON.parse(recallText(WORK) ?? '[]') as string[];
    if (!worked || !lost || worked === server) return;
    forgetText(WORK);
    this.lost = lost;
    if (this.offered.includes(lost)) return;
    const text = `The server was started anew, and it no longer has the work on ${lost}. A conversation that you have downloaded can be opened here.`;
    const said = this.append(makeNode('button', 'gone', text));
    said.addEventListener('click', () => said.remove());
    this.said = said;
  }

  private append<T extends HTMLElement>(said: T): T {
    said.setAttribute('role', 'alert');
    if (said instanceof HTMLButtonElement) said.type = 'button';
    this.element.closest('.contain')?.appendChild(said); // outside of it Gradio leaves out what styles say of colours and sizes
    return said;
  }
}
