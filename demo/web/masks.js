// The list of masks: what is in the answer, and what was found beside it.
const find = (selector) => element.querySelector(selector);
let rows = [], shown = null, active = null, threshold = 0;

function createNode(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

// how a mask came about, where its name does not say it
function describeOrigin({ category, origin }) {
  if (origin.startsWith('refine')) return category ? 'clicked' : '';
  if (origin.startsWith('segment')) return origin.includes(' like ') ? 'like an example' : '';
  return category ? origin : '';
}

function buildRow(mask) {
  const item = createNode('li', mask.id === active ? 'row active' : 'row');
  item.dataset.id = mask.id;
  item.dataset.origin = mask.origin;
  const box = createNode('input');
  box.type = 'checkbox';
  box.checked = mask.selected;
  box.disabled = Boolean(props.value.busy);
  box.setAttribute('aria-label', `Object ${mask.id}, ${mask.phrase}, in the answer`);
  const chip = createNode('button', 'chip', mask.id);
  chip.type = 'button';
  chip.title = 'Choose this object';
  chip.setAttribute('aria-label', `Choose object ${mask.id}`);
  chip.setAttribute('aria-pressed', mask.id === active);
  chip.style.background = mask.color;
  chip.style.color = mask.ink;
  const words = createNode('span', 'words');
  words.append(createNode('span', 'phrase', mask.phrase), createNode('span', 'why', mask.reason || describeOrigin(mask)));
  const score = createNode('span', 'score', mask.score.toFixed(2));
  score.title = mask.probability ? `Score; right with a probability of ${mask.probability}` : 'Score';
  score.style.setProperty('--score', mask.score);
  const area = createNode('span', 'area', `${mask.area.toLocaleString('en')} px`);
  area.title = `${mask.share} of the image`;
  item.append(box, chip, words, score, area);
  return item;
}

function update() {
  rows = (props.value && props.value.masks || []).slice().sort((a, b) => a.id - b.id);
  draw();
}

function draw() {
  const focused = element.contains(document.activeElement) ? document.activeElement.closest('.row')?.dataset.id : null;
  const kept = rows.filter((mask) => mask.selected), rest = rows.filter((mask) => !mask.selected);
  find('.kept').replaceChildren(...kept.map(buildRow));
  find('.rest ul').replaceChildren(...rest.map(buildRow));
  for (const mask of kept) if (mask.score <= threshold) find(`.kept [data-id="${mask.id}"]`).classList.add('under');
  find('.rest').hidden = rest.length === 0;
  find('.rest summary').textContent = `${rest.length} more found, not in the answer`;
  find('.count').textContent = rows.length ? kept.length : '';
  find('.none').hidden = rows.length > 0;
  find('.both').hidden = rows.length === 0;
  if (focused) find(`[data-id="${focused}"] input`)?.focus();
}

function highlight(id) { window.dispatchEvent(new CustomEvent('sam3-light', { detail: id })); }

element.addEventListener('change', (event) => {
  if (event.target.type !== 'checkbox') return;
  const ids = [...element.querySelectorAll('.row')].filter((item) => item.querySelector('input').checked).map((item) => Number(item.dataset.id));
  window.dispatchEvent(new CustomEvent('sam3-keep', { detail: ids }));
});
element.addEventListener('click', (event) => {
  const all = event.target.closest('[data-all]'), chip = event.target.closest('.chip');
  if (all) window.dispatchEvent(new CustomEvent('sam3-keep', { detail: all.dataset.all === 'yes' ? rows.map((mask) => mask.id) : [] }));
  if (chip) {
    const id = Number(chip.closest('.row').dataset.id);
    window.dispatchEvent(new CustomEvent('sam3-choose', { detail: id === active ? null : id }));
  }
});
for (const kind of ['pointerover', 'focusin'])
  element.addEventListener(kind, (event) => { const item = event.target.closest('.row'); if (item) highlight(Number(item.dataset.id)); });
element.addEventListener('pointerleave', () => highlight(null));
window.addEventListener('sam3-view', (event) => {
  if (event.detail.active === active && event.detail.threshold === threshold) return;
  ({ active, threshold } = event.detail);
  draw();
});
window.addEventListener('sam3-lit', (event) => {
  for (const item of element.querySelectorAll('.row')) item.classList.toggle('lit', Number(item.dataset.id) === event.detail);
});
// between two answers of the server, the canvas says what changed
window.addEventListener('sam3-state', (event) => {
  if (event.detail.masks === shown) return;
  shown = event.detail.masks;
  rows = shown.slice().sort((a, b) => a.id - b.id);
  draw();
});
const small = matchMedia('(max-width: 900px) and (orientation: portrait), (max-width: 480px), (max-height: 480px)');
const foldObjects = () => { find('.fold').open = !small.matches; };
small.addEventListener('change', foldObjects); // a tablet that is turned
foldObjects();
watch('value', update);
update();
