// Draws the masks over the image and sends what was clicked. It decides nothing; demo/requests.py lists what is sent.
const SVG = 'http://www.w3.org/2000/svg';
const find = (selector) => element.querySelector(selector);
const stage = find('.stage'), frame = find('.frame'), photo = find('.photo'), tip = find('.tip'), hint = find('.hint');
const masks = find('svg.masks'), marks = find('svg.marks'), threshold = find('.threshold input');
const HINTS = {
  select: 'Click a mask to choose it. Delete takes it out of the answer.',
  add: 'Click what is missing. With a mask chosen, the click adds to that mask.',
  remove: 'Click the part that a mask should not cover.',
  box: 'Click two opposite corners around one object: everything that looks like it is added.',
};
const NOTHING = { key: '', masks: [], points: [], width: 0, height: 0, active: null, threshold: 0 };
let state = NOTHING;
let cross = null;   // x y in the image's pixels, moved by the arrow keys
let corner = null;  // the first click of a box
let pressed = null; // where the pointer went down, for a box that is dragged
let compared = false;

const getMode = () => find('input[name=mode]:checked').value;
const getScale = () => state.width / Math.max(1, frame.clientWidth);
const findMask = (id) => state.masks.find((mask) => mask.id === id);
const listShown = () => state.masks.filter((mask) => mask.selected && mask.score > Number(threshold.value));

function appendSvg(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function update() {
  state = { ...NOTHING, ...props.value };
  const has = Boolean(state.key && props.image && props.image.key === state.key);
  stage.dataset.state = has ? 'image' : 'empty';
  for (const button of element.querySelectorAll('.start button')) button.disabled = !state.serial; // until the session has begun
  stage.dataset.busy = state.busy ? 'yes' : 'no';
  if (has && photo.dataset.key !== state.key) {
    photo.src = props.image.url;
    photo.dataset.key = state.key;
    cross = corner = null;
  }
  if (document.activeElement !== threshold) threshold.value = state.threshold || 0;
  frame.style.setProperty('--ratio', state.width / Math.max(1, state.height));
  const names = [...new Set(listShown().map((mask) => mask.phrase))].join(', ');
  photo.alt = has ? `${state.name || 'Your image'}, ${state.width} by ${state.height} pixels` : '';
  frame.setAttribute('aria-label', `${photo.alt}; ${listShown().length} masks${names ? ': ' + names : ''}`);
  draw();
}

function draw() {
  for (const layer of [masks, marks]) {
    layer.replaceChildren();
    layer.setAttribute('viewBox', `0 0 ${Math.max(1, state.width)} ${Math.max(1, state.height)}`);
  }
  const k = getScale(), drawn = listShown();
  for (const mask of drawn) drawOutline(mask, drawn.length);
  for (const mask of drawn) drawPlate(mask, k);
  for (const [x, y, positive] of state.points || []) drawPoint(x, y, positive, k);
  if (cross) appendSvg(marks, 'path', { d: `M${cross[0] - 9 * k} ${cross[1]}h${18 * k}M${cross[0]} ${cross[1] - 9 * k}v${18 * k}`, class: 'cross' });
  find('.threshold output').textContent = Number(threshold.value).toFixed(2);
  for (const [act, able] of Object.entries({ undo: state.canUndo, redo: state.canRedo, drop: state.active !== null && findMask(state.active)?.selected }))
    find(`[data-do=${act}]`).disabled = !able || state.busy;
  hint.textContent = state.busy ? '' : HINTS[getMode()];
  frame.style.setProperty('--wipe', compared ? `${find('.compare input').value}%` : '0%');
  stage.dataset.compare = compared ? 'yes' : 'no';
  stage.dataset.mode = getMode();
  stage.dataset.masks = drawn.length;
  window.dispatchEvent(new CustomEvent('sam3-view', { detail: { active: state.active, threshold: Number(threshold.value) } }));
}

function drawOutline(mask) {
  const lit = mask.id === state.active ? ' active' : '';
  appendSvg(masks, 'path', { d: mask.path, class: 'rim' + lit });
  appendSvg(masks, 'path', { d: mask.path, class: 'mask' + lit, 'data-id': mask.id, style: `--color:${mask.color}` });
}

function drawPlate(mask, k) {
  const wide = String(mask.id).length * 7.5 + 11;
  const at = appendSvg(marks, 'g', { class: 'plate', transform: `translate(${mask.at[0]} ${mask.at[1]}) scale(${k})` });
  appendSvg(at, 'rect', { x: -wide / 2, y: -9.5, width: wide, height: 19, rx: 9.5, fill: mask.color, stroke: mask.ink });
  appendSvg(at, 'text', { y: 4.5, fill: mask.ink }, mask.id);
}

function drawPoint(x, y, positive, k) {
  const at = appendSvg(marks, 'g', { class: positive ? 'dot plus' : 'dot minus', transform: `translate(${x} ${y}) scale(${k})` });
  appendSvg(at, 'circle', { r: 7 });
  appendSvg(at, 'path', { d: positive ? 'M-3.5 0h7M0-3.5v7' : 'M-3.5 0h7' });
}

function toPixel(event) {
  const box = frame.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * state.width, y = (event.clientY - box.top) / box.height * state.height;
  return [Math.min(Math.max(Math.floor(x), 0), state.width - 1), Math.min(Math.max(Math.floor(y), 0), state.height - 1)];
}

function findIdAt([x, y]) {
  const box = frame.getBoundingClientRect();
  const hit = document.elementsFromPoint(box.left + x / state.width * box.width, box.top + y / state.height * box.height);
  const path = hit.find((node) => node.dataset && node.dataset.id && node.closest('svg') === masks);
  return path ? Number(path.dataset.id) : null;
}

function chooseMask(id) {
  state.active = id;
  state.points = [];
  draw();
}

function handleClick(at) {
  if (state.busy) return;
  const [x, y] = at;
  switch (getMode()) {
    case 'select': return chooseMask(findIdAt(at));
    case 'add': return sendPoint(x, y, true, state.active);
    case 'remove': return sendPoint(x, y, false, findIdAt(at) ?? state.active);
    case 'box':
      if (!corner) { corner = at; hint.textContent = 'Now the opposite corner.'; return drawBand(at); }
      return sendBox(corner, at);
  }
}

function sendPoint(x, y, positive, active) {
  drawPoint(x, y, positive, getScale());
  markBusy();
  trigger('point', { x, y, positive, active });
}

function sendBox(from, to) {
  corner = null;
  const edges = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
  if (edges[2] - edges[0] < 3 || edges[3] - edges[1] < 3) return draw(); // a double click
  markBusy();
  trigger('box', { box: edges });
}

function drawBand(to) {
  marks.querySelector('.band')?.remove();
  const from = corner || pressed;
  appendSvg(marks, 'rect', { class: 'band', x: Math.min(from[0], to[0]), y: Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) });
}

function markBusy() { stage.dataset.busy = 'yes'; }

function sendKept(ids) {
  markBusy();
  trigger('keep', { ids });
}

function dropActive() {
  if (state.active === null || state.busy) return;
  sendKept(state.masks.filter((mask) => mask.selected && mask.id !== state.active).map((mask) => mask.id));
}

function openFile(files) {
  const picker = document.querySelector('input[type=file]');
  if (!picker) return;
  if (!files) return picker.click();
  const carried = new DataTransfer();
  carried.items.add(files[0]);
  picker.files = carried.files;
  picker.dispatchEvent(new Event('change', { bubbles: true }));
}

const ACTS = {
  undo: () => { markBusy(); trigger('undo'); },
  redo: () => { markBusy(); trigger('redo'); },
  drop: dropActive,
  open: () => openFile(null),
  compare: () => { compared = !compared; find('[data-do=compare]').setAttribute('aria-pressed', compared); draw(); },
};

element.addEventListener('click', (event) => {
  const act = event.target.closest('[data-do]'), example = event.target.closest('[data-example]');
  if (act) ACTS[act.dataset.do]();
  if (example) { markBusy(); trigger('example', { name: example.dataset.example }); }
});
frame.addEventListener('pointerdown', (event) => { if (event.button === 0) pressed = toPixel(event); });
frame.addEventListener('pointerup', (event) => {
  if (!pressed) return;
  const from = pressed, to = toPixel(event);
  pressed = null;
  cross = null;
  const far = Math.hypot(to[0] - from[0], to[1] - from[1]) > 6 * getScale();
  if (getMode() === 'box' && far && !corner && !state.busy) return sendBox(from, to);
  handleClick(to);
});
frame.addEventListener('pointermove', (event) => {
  const at = toPixel(event);
  if (getMode() === 'box' && (corner || pressed)) drawBand(at);
  const over = findMask(findIdAt(at));
  highlight(over ? over.id : null);
  tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
  tip.style.left = `${at[0] / state.width * 100}%`;
  tip.style.top = `${at[1] / state.height * 100}%`;
});
frame.addEventListener('pointerleave', () => { tip.textContent = ''; highlight(null); });
frame.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) {
    const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(state.width, state.height) / 40));
    cross = cross || [state.width / 2, state.height / 2];
    cross = [Math.min(Math.max(cross[0] + way[0] * far, 0), state.width - 1), Math.min(Math.max(cross[1] + way[1] * far, 0), state.height - 1)];
    draw();
    if (corner) drawBand(cross);
    const over = findMask(findIdAt(cross));
    tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
    tip.style.left = `${cross[0] / state.width * 100}%`;
    tip.style.top = `${cross[1] / state.height * 100}%`;
  } else if (event.key === 'Enter' || event.key === ' ') {
    if (cross) handleClick(cross);
  } else if (event.key === 'Delete' || event.key === 'Backspace') {
    dropActive();
  } else if (event.key === 'Escape') {
    corner = null;
    chooseMask(null);
  } else if ('1234'.includes(event.key)) {
    element.querySelectorAll('input[name=mode]')[Number(event.key) - 1].checked = true;
    corner = null;
    draw();
  } else return;
  event.preventDefault();
});
for (const radio of element.querySelectorAll('input[name=mode]')) radio.addEventListener('change', () => { corner = null; draw(); });
threshold.addEventListener('input', draw);
threshold.addEventListener('change', () => trigger('threshold', { value: Number(threshold.value) }));
find('.compare input').addEventListener('input', draw);

function highlight(id) {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === id);
  window.dispatchEvent(new CustomEvent('sam3-lit', { detail: id }));
}
window.addEventListener('sam3-light', (event) => {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === event.detail);
});
window.addEventListener('sam3-choose', (event) => chooseMask(event.detail));
window.addEventListener('sam3-keep', (event) => sendKept(event.detail));

const isEditable = (target) => target.closest('textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), [contenteditable]');
document.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || isEditable(event.target)) return;
  event.preventDefault();
  const act = find(event.shiftKey ? '[data-do=redo]' : '[data-do=undo]');
  if (!act.disabled) act.click();
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith('image/'));
  if (files.length) { event.preventDefault(); openFile(files); }
});
for (const kind of ['dragenter', 'dragover'])
  document.addEventListener(kind, (event) => { event.preventDefault(); stage.dataset.drag = 'yes'; });
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) stage.dataset.drag = 'no'; });
document.addEventListener('drop', (event) => {
  event.preventDefault();
  stage.dataset.drag = 'no';
  if (event.dataTransfer.files.length) openFile(event.dataTransfer.files);
});

// gradio's arrows are buttons without a name, inside of a button that has one
new MutationObserver(() => {
  for (const arrow of document.querySelectorAll('#chat .thought-group .arrow button:not([aria-hidden])')) {
    arrow.setAttribute('aria-hidden', 'true');
    arrow.tabIndex = -1;
  }
}).observe(document.querySelector('#chat') || document.body, { childList: true, subtree: true });

// says when the server is gone; a new server does not know this page, so the page begins anew
let home = null, gone = null;
async function watchServer() {
  try {
    const { app_id } = await (await fetch('gradio_api/app_id', { cache: 'no-store' })).json();
    home ??= app_id;
    if (app_id !== home) location.reload();
    gone?.remove();
    gone = null;
  } catch {
    gone ??= element.closest('.gradio-container').appendChild(document.createElement('div'));
    gone.className = 'gone';
    gone.setAttribute('role', 'alert');
    gone.textContent = 'The server does not answer: it was stopped, or the network is gone.';
  }
  setTimeout(watchServer, 3000);
}
watchServer();

for (const example of props.examples || []) {
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.example = example.name;
  button.title = example.about;
  const thumbnail = document.createElement('img');
  thumbnail.src = example.url;
  thumbnail.alt = example.about;
  button.appendChild(thumbnail);
  find('.examples').appendChild(button);
}
new ResizeObserver(draw).observe(frame);
watch(['value', 'image'], update);
update();
