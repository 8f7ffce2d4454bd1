// Makes a studio of the nodes of stage.html: its buttons, keys and pointer, and what it hears from the page around it.
import { findNode } from '../dom.ts';
import type { Host } from '../gradio.ts';
import { showExamples } from './examples.ts';
import { connectFiles, openFile } from './files.ts';
import { connectKeys, connectSpace } from './tools/keys.ts';
import { connectPointer } from './tools/pointer.ts';
import { connectSheet } from './tools/shortcuts.ts';
import { Studio } from './studio.ts';
import type { Change, Example, Mending } from './types.ts';

/** Make a studio in the host's element, which holds the nodes of stage.html, and show the host's value. */
export function connectStudio(host: Host): Studio {
  const studio = new Studio(host);
  connectControls(studio);
  connectSpace(studio, connectPointer(studio));
  connectKeys(studio);
  if (!studio.isLocal) {
    connectFiles(studio.stage);
    connectPage(studio);
  }
  showExamples(host.element, (host.props.examples ?? []) as Example[]);
  host.watch(['value', 'image'], () => studio.update());
  studio.update();
  return studio;
}

function listActs(studio: Studio, sheet: HTMLDialogElement): Record<string, () => void> {
  const { state } = studio;
  return {
    undo: () => studio.sendEdit({ kind: 'undo' }),
    redo: () => studio.sendEdit({ kind: 'redo' }),
    fresh: () => studio.beginObject(),
    extend: () => { state.extends = !state.extends; studio.draw(); },
    drop: () => studio.dropActive(),
    merge: () => { state.merging = !state.merging; studio.draw(); },
    hide: () => studio.toggleHidden(state.value.active),
    reveal: () => studio.toggleHidden(null),
    lock: () => { if (state.value.active !== null) studio.toggleLocked(state.value.active); },
    in: () => studio.zoom.step(1),
    out: () => studio.zoom.step(-1),
    fit: () => studio.zoom.fit(),
    actual: () => studio.zoom.showActualSize(),
    open: () => openFile(),
    play: () => studio.film.toggle(),
    back: () => studio.film.step(-1),
    ahead: () => studio.film.step(1),
    keys: () => sheet.showModal(),
    close: () => sheet.close(),
    compare: () => { state.compared = !state.compared; studio.draw(); },
  };
}

function openExample({ host, stage }: Studio, { example, question }: DOMStringMap, alone: boolean): void {
  stage.dataset.busy = 'yes';
  window.dispatchEvent(new CustomEvent('sam3-planned', { detail: alone ? '' : question }));
  host.trigger('example', { name: example });
}

function connectControls(studio: Studio): void {
  const { stage, state } = studio, acts = listActs(studio, connectSheet(studio));
  studio.host.element.addEventListener('click', (event) => {
    const target = event.target as Element;
    acts[target.closest<HTMLElement>('[data-do]')?.dataset.do ?? '']?.();
    const mending = target.closest<HTMLElement>('[data-mend]')?.dataset.mend;
    if (mending) studio.mend(mending as Mending);
    const chosen = target.closest<HTMLElement>('[data-example]');
    if (chosen) openExample(studio, chosen.dataset, event.shiftKey);
  });
  for (const radio of stage.querySelectorAll('input[name=mode]'))
    radio.addEventListener('change', () => studio.setMode(studio.mode));
  const threshold = findNode<HTMLInputElement>(stage, '.threshold input');
  threshold.addEventListener('input', () => { state.threshold = Number(threshold.value); studio.draw(); });
  threshold.addEventListener('change', () => studio.sendEdit({ kind: 'threshold', value: Number(threshold.value) }));
  findNode(stage, '.compare input').addEventListener('input', () => studio.draw());
}

function connectPage(studio: Studio): void {
  window.addEventListener('sam3-question', () => studio.resumeEdits(), { once: true });
  window.addEventListener('sam3-light', (event) => studio.outlines.highlight((event as CustomEvent<number | null>).detail));
  window.addEventListener('sam3-choose', (event) => studio.chooseMask((event as CustomEvent<number | null>).detail));
  window.addEventListener('sam3-keep', (event) => studio.sendKept((event as CustomEvent<number[]>).detail));
  window.addEventListener('sam3-relabel', (event) => studio.sendEdit({ kind: 'relabel', ...(event as CustomEvent<{ ids: number[]; label: string }>).detail }));
  window.addEventListener('sam3-moved', () => studio.host.trigger('moved'));
  window.addEventListener('sam3-change', (event) => studio.applyChange((event as CustomEvent<Change>).detail));
}
