// Shows the conversation and sends questions. Every text is written as text, so that no markup in it is ever read.
const chat = element.querySelector('#chat'), chips = element.querySelector('.suggestions'), news = element.querySelector('.news');
const WELCOME = 'Name anything in your image or video and I outline it. Drop a file, or tap an example to see how.';
const getForm = () => document.querySelector('#query');
let shown = [];      // of each entry: its JSON and its node
let pending = null;  // what is under way: title, when it began, its node
let sent = null;     // my question until the server has taken it
let asked = [];      // my questions, for the up arrow
let recalled = 0;

function make(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function makeButton(kind, text, act) {
  const made = make('button', kind, text);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
}

function makeChip(mask) {
  const chip = makeButton('chip', mask.id, () => window.dispatchEvent(new CustomEvent('sam3-choose', { detail: mask.id })));
  chip.style.background = mask.color;
  chip.style.color = mask.ink;
  chip.setAttribute('aria-label', `Choose object ${mask.id}`);
  for (const kind of ['pointerenter', 'focus']) chip.addEventListener(kind, () => highlight(mask.id));
  for (const kind of ['pointerleave', 'blur']) chip.addEventListener(kind, () => highlight(null));
  return chip;
}

function highlight(id) { window.dispatchEvent(new CustomEvent('sam3-light', { detail: id })); }

function makeVerdicts(verdicts) {
  const table = make('table', 'verdicts');
  table.append(make('caption', 'unseen', 'What was thought of each object'));
  for (const one of verdicts) {
    const row = table.insertRow();
    row.insertCell().append(makeChip(one));
    row.append(make('td', one.accept ? 'yes' : 'no', `${one.accept ? 'kept' : 'left out'}, ${Math.round(one.share * 100)} % sure it belongs`), make('td', '', one.reason));
  }
  return table;
}

const MAKERS = {
  image: (entry) => make('p', entry.undone ? 'divider undone' : 'divider', entry.text),
  query: (entry) => {
    const made = make('div', `mine${entry.byHand ? ' hand' : ''}${entry.undone ? ' undone' : ''}`);
    made.append(make(entry.undone ? 's' : 'p', 'said', entry.text));
    if (entry.undone) made.append(make('span', 'unseen', ' (undone)'));
    return made;
  },
  note: (entry) => make('p', 'note', entry.text),
  error: (entry) => { const made = makeAnswer(entry); made.classList.add('error'); return made; },
  answer: makeAnswer,
  step: makeStep,
};

function makeAnswer(entry) {
  const made = make('div', 'answer');
  made.append(make('p', 'said', entry.text));
  if (entry.masks?.length) {
    const row = make('p', 'masks-said');
    row.append(...entry.masks.slice(0, 40).map(makeChip));
    if (entry.masks.length > 40) row.append(make('span', 'cost', ` and ${entry.masks.length - 40} more`));
    made.append(row);
  }
  if (entry.options?.length) {
    const row = make('div', 'options');
    row.append(...entry.options.map((option) => makeButton('option', option, () => ask(option))));
    made.append(row);
  }
  if (entry.cost) made.append(make('p', 'cost', entry.cost));
  return made;
}

function makeStep(entry) {
  const made = make('details', entry.failed ? 'step failed' : 'step'), head = make('summary', '', entry.title);
  head.append(make('span', 'took', ` ${formatSeconds(entry.seconds)}`));
  made.append(head);
  if (entry.reasoning) {
    const thought = make('details', 'reasoning');
    thought.append(make('summary', '', `Thought for ${formatSeconds(entry.thinking || entry.seconds)}`), make('p', '', entry.reasoning));
    made.append(thought);
  }
  if (entry.thought) made.append(make('p', 'thought', entry.thought));
  if (entry.verdicts.length) made.append(makeVerdicts(entry.verdicts));
  const image = make('img');
  const raw = make('details', 'raw');
  raw.append(make('summary', '', 'Details'), make('pre', 'call', entry.call), make('p', '', entry.text));
  if (entry.image) made.append(image);
  made.append(raw);
  image.hidden = true;
  made.addEventListener('toggle', async () => {
    if (!made.open || !entry.image || image.src) return;
    const [event, step, about] = entry.image;
    image.alt = `The image with ${about}`;
    const url = await server.draw_step({ session: sessionStorage.getItem('sam3-agent') || '', event, step });
    if (url) { image.src = url; image.hidden = false; }
  });
  return made;
}

function formatSeconds(seconds) { return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`; }

function makeEntry(entry) {
  const made = MAKERS[entry.kind](entry);
  if (entry.redo) made.append(makeButton('redo', 'Redo', () => document.querySelector('.stage [data-do=redo]')?.click()));
  return made;
}

// the step of a turn that was under way is the step of the turn once it is there, so that what was opened stays open
const getKey = (entry) => JSON.stringify({ ...entry, image: entry.image && entry.image.slice(1) });

function update() {
  const value = props.value || {};
  if (!value.serial) return;
  const before = shown.length, stuck = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 60;
  shown = value.entries.map((entry, place) => {
    const key = getKey(entry), old = shown[place];
    if (old?.key !== key) return { key, entry, node: makeEntry(entry) };
    Object.assign(old.entry, entry);
    return old;
  });
  sent = null;
  pending = value.pending && { title: value.pending.title, since: performance.now() - value.pending.seconds * 1000 };
  draw();
  if (stuck || shown.length !== before) chat.scrollTop = chat.scrollHeight;
  const last = shown.at(-1)?.entry;
  if (!pending && last && before !== shown.length && last.kind !== 'query') news.textContent = last.text || '';
}

function draw() {
  const nodes = shown.map((one) => one.node), value = props.value || {};
  if (sent) nodes.push(MAKERS.query({ text: sent.text }));
  if (pending || sent) nodes.push(makeWait());
  if (!nodes.length) nodes.push(make('p', 'welcome', WELCOME));
  nodes.forEach((node, place) => { if (chat.children[place] !== node) chat.insertBefore(node, chat.children[place] || null); });
  while (chat.children.length > nodes.length) chat.lastChild.remove();
  chips.replaceChildren(...(pending || sent ? [] : value.suggestions || []).map((text) => makeButton('suggestion', text, () => ask(text))));
  drawForm(Boolean(value.serial), Boolean(pending || sent), value.placeholder);
}

function makeWait() {
  const made = make('p', 'pending');
  made.setAttribute('role', 'status');
  made.append(make('span', 'what', pending ? pending.title : 'Sending your question'), make('span', 'clock'));
  return made;
}

function tick() {
  const clock = chat.querySelector('.pending .clock'), since = pending?.since ?? sent?.since;
  if (clock && since !== undefined) {
    const seconds = Math.round((performance.now() - since) / 1000);
    clock.textContent = seconds > 0 ? ` ${seconds} s` : '';
  }
}

function drawForm(awake, busy, placeholder) {
  const form = getForm();
  if (!form) return;
  form.question.disabled = !awake;
  form.question.placeholder = placeholder || 'all the watermelons';
  form.querySelector('.send').hidden = busy;
  form.querySelector('.stop').hidden = !busy;
}

function ask(text) {
  if (pending || sent || !text.trim()) return;
  sent = { text, since: performance.now() };
  asked.push(text);
  recalled = asked.length;
  draw();
  chat.scrollTop = chat.scrollHeight;
  trigger('ask', { query: text });
}

function fitQuestion(box) {
  box.style.height = 'auto';
  box.style.height = `${Math.min(box.scrollHeight + 2, 120)}px`;
}

document.addEventListener('submit', (event) => {
  if (event.target !== getForm()) return;
  event.preventDefault();
  const box = event.target.question;
  if (!box.value.trim() || pending || sent) return;
  const text = box.value;
  box.value = '';
  fitQuestion(box);
  ask(text);
});
document.addEventListener('click', (event) => {
  if (!event.target.closest?.('#query .stop')) return;
  if (pending) pending.title = 'Stopping';
  draw();
  trigger('stop');
});
document.addEventListener('input', (event) => { if (event.target.id === 'question') fitQuestion(event.target); });
document.addEventListener('keydown', (event) => {
  const box = event.target;
  if (box.id !== 'question' || event.isComposing) return;
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    getForm().requestSubmit();
  } else if (['ArrowUp', 'ArrowDown'].includes(event.key) && (!box.value || box.value === asked[recalled]) && asked.length) {
    event.preventDefault();
    recalled = Math.min(Math.max(recalled + (event.key === 'ArrowUp' ? -1 : 1), 0), asked.length);
    box.value = asked[recalled] || '';
  }
});
// the server has not taken my question: it goes back to where I can send it again
window.addEventListener('sam3-failed', () => {
  if (!sent) return;
  const box = getForm()?.question;
  if (box && !box.value) box.value = sent.text;
  sent = null;
  draw();
});
window.addEventListener('sam3-question', (event) => { const box = getForm()?.question; if (box && !box.value) box.value = event.detail; });
window.addEventListener('sam3-form', draw);
setInterval(tick, 500);
watch('value', update);
update();
draw();
