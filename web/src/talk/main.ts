// The script of the talk: Gradio runs it once.
import { guardServer } from '../gradio.ts';
import { joinPart } from '../page_parts.ts';
import { connectLinks, openLinkedStep } from './links.ts';
import { Talk } from './talk.ts';
import { recallSession } from '../tab_store.ts';
import type { Models } from './talk.ts';
import type { Canvas, News } from './types.ts';

const talk = new Talk({ element, props, server: guardServer(server), trigger, watch });
let linked = false;

function update(): void {
  talk.update();
  linked ||= openLinkedStep();
}

window.addEventListener('sam3-state', (event) => talk.noteCanvas((event as CustomEvent<Canvas>).detail));
window.addEventListener('sam3-models', (event) => talk.chooseModels((event as CustomEvent<Models>).detail));
window.addEventListener('sam3-settled', () => void talk.look(false));
window.addEventListener('sam3-question', (event) => talk.offer((event as CustomEvent<string>).detail));
window.addEventListener('sam3-planned', (event) => talk.plan((event as CustomEvent<string>).detail));
window.addEventListener('sam3-form', () => talk.draw());
joinPart('talk', {
  describe: () => ({ session: recallSession(), ...talk.describe() }),
  take: (news) => talk.take(news as News),
});
connectLinks();
watch('value', update);
update();
talk.draw();
