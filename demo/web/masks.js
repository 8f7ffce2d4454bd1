// The list of masks: what is in the answer, and what was found beside it.
const find = (selector) => element.querySelector(selector);
let rows = [], active = null, threshold = 0;

function node(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function row(one) {
  const item = node('li', one.id === active ? 'row active' : 'row');
  item.dataset.id = one.id;
  const box = node('input');
  box.type = 'checkbox';
  box.checked = one.selected;
  box.disabled = Boolean(props.value.busy);
  box.setAttribute('aria-label', `Mask ${one.id}, ${one.phrase}, in the answer`);
  const chip = node('button', 'chip', one.id);
  chip.type = 'button';
  chip.title = 'Choose this mask';
  chip.setAttribute('aria-label', `Choose mask ${one.id}`);
  chip.setAttribute('aria-pressed', one.id === active);
  chip.style.background = one.color;
  chip.style.color = one.ink;
  const words = node('span', 'words');
  words.append(node('span', 'phrase', one.phrase), node('span', 'why', one.reason || (one.origin === 'segment' ? '' : one.origin)));
  const score = node('span', 'score', one.score.toFixed(2));
  score.title = 'Score';
  score.style.setProperty('--score', one.score);
  const area = node('span', 'area', `${one.area.toLocaleString('en')} px`);
  area.title = `${one.share} of the picture`;
  item.append(box, chip, words, score, area);
  return item;
}

function show() {
  rows = (props.value && props.value.masks || []).slice().sort((a, b) => a.id - b.id);
  draw();
}

function draw() {
  const focused = element.contains(document.activeElement) ? document.activeElement.closest('.row')?.dataset.id : null;
  const kept = rows.filter((one) => one.selected), rest = rows.filter((one) => !one.selected);
  find('.kept').replaceChildren(...kept.map(row));
  find('.rest ul').replaceChildren(...rest.map(row));
  for (const one of kept) if (one.score <= threshold) find(`.kept [data-id="${one.id}"]`).classList.add('under');
  find('.rest').hidden = rest.length === 0;
  find('.rest summary').textContent = `${rest.length} more found, not in the answer`;
  find('.count').textContent = rows.length ? kept.length : '';
  find('.none').hidden = rows.length > 0;
  find('.both').hidden = rows.length === 0;
  if (focused) find(`[data-id="${focused}"] input`)?.focus();
}

function light(id) { window.dispatchEvent(new CustomEvent('sam3-light', { detail: id })); }

element.addEventListener('change', (event) => {
  if (event.target.type !== 'checkbox') return;
  const ids = [...element.querySelectorAll('.row')].filter((item) => item.querySelector('input').checked).map((item) => Number(item.dataset.id));
  window.dispatchEvent(new CustomEvent('sam3-keep', { detail: ids }));
});
element.addEventListener('click', (event) => {
  const all = event.target.closest('[data-all]'), chip = event.target.closest('.chip');
  if (all) window.dispatchEvent(new CustomEvent('sam3-keep', { detail: all.dataset.all === 'yes' ? rows.map((one) => one.id) : [] }));
  if (chip) {
    const id = Number(chip.closest('.row').dataset.id);
    window.dispatchEvent(new CustomEvent('sam3-choose', { detail: id === active ? null : id }));
  }
});
for (const kind of ['pointerover', 'focusin'])
  element.addEventListener(kind, (event) => { const item = event.target.closest('.row'); if (item) light(Number(item.dataset.id)); });
element.addEventListener('pointerleave', () => light(null));
window.addEventListener('sam3-view', (event) => {
  if (event.detail.active === active && event.detail.threshold === threshold) return;
  ({ active, threshold } = event.detail);
  draw();
});
window.addEventListener('sam3-lit', (event) => {
  for (const item of element.querySelectorAll('.row')) item.classList.toggle('lit', Number(item.dataset.id) === event.detail);
});
watch('value', show);
show();
