// The picture: draws the masks over it, and tells what was clicked. It decides nothing; see exchange.py for what is sent.
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
let seen = NOTHING;
let cross = null;   // x y in the picture's pixels, moved by the arrow keys
let corner = null;  // the first click of a box
let pressed = null; // where the pointer went down, for a box that is dragged
let compared = false;

const mode = () => find('input[name=mode]:checked').value;
const scale = () => seen.width / Math.max(1, frame.clientWidth);
const mask = (id) => seen.masks.find((one) => one.id === id);
const listed = () => seen.masks.filter((one) => one.selected && one.score > Number(threshold.value));

function make(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function show() {
  seen = { ...NOTHING, ...props.value };
  const has = Boolean(seen.key && props.picture && props.picture.key === seen.key);
  stage.dataset.state = has ? 'picture' : 'empty';
  for (const button of element.querySelectorAll('.start button')) button.disabled = !seen.serial; // until the visit has begun
  stage.dataset.busy = seen.busy ? 'yes' : 'no';
  if (has && photo.dataset.key !== seen.key) {
    photo.src = props.picture.url;
    photo.dataset.key = seen.key;
    cross = corner = null;
  }
  if (document.activeElement !== threshold) threshold.value = seen.threshold || 0;
  frame.style.setProperty('--ratio', seen.width / Math.max(1, seen.height));
  const names = [...new Set(listed().map((one) => one.phrase))].join(', ');
  photo.alt = has ? `${seen.name || 'Your picture'}, ${seen.width} by ${seen.height} pixels` : '';
  frame.setAttribute('aria-label', `${photo.alt}; ${listed().length} masks${names ? ': ' + names : ''}`);
  draw();
}

function draw() {
  for (const layer of [masks, marks]) {
    layer.replaceChildren();
    layer.setAttribute('viewBox', `0 0 ${Math.max(1, seen.width)} ${Math.max(1, seen.height)}`);
  }
  const k = scale(), drawn = listed();
  for (const one of drawn) outline(one, drawn.length);
  for (const one of drawn) plate(one, k);
  for (const [x, y, positive] of seen.points || []) dot(x, y, positive, k);
  if (cross) make(marks, 'path', { d: `M${cross[0] - 9 * k} ${cross[1]}h${18 * k}M${cross[0]} ${cross[1] - 9 * k}v${18 * k}`, class: 'cross' });
  find('.threshold output').textContent = Number(threshold.value).toFixed(2);
  for (const [act, able] of Object.entries({ undo: seen.canUndo, redo: seen.canRedo, drop: seen.active !== null && mask(seen.active)?.selected }))
    find(`[data-do=${act}]`).disabled = !able || seen.busy;
  hint.textContent = seen.busy ? '' : HINTS[mode()];
  frame.style.setProperty('--wipe', compared ? `${find('.compare input').value}%` : '0%');
  stage.dataset.compare = compared ? 'yes' : 'no';
  stage.dataset.mode = mode();
  stage.dataset.masks = drawn.length;
  window.dispatchEvent(new CustomEvent('sam3-view', { detail: { active: seen.active, threshold: Number(threshold.value) } }));
}

function outline(one) {
  const lit = one.id === seen.active ? ' active' : '';
  make(masks, 'path', { d: one.path, class: 'rim' + lit });
  make(masks, 'path', { d: one.path, class: 'mask' + lit, 'data-id': one.id, style: `--color:${one.color}` });
}

function plate(one, k) {
  const wide = String(one.id).length * 7.5 + 11;
  const at = make(marks, 'g', { class: 'plate', transform: `translate(${one.at[0]} ${one.at[1]}) scale(${k})` });
  make(at, 'rect', { x: -wide / 2, y: -9.5, width: wide, height: 19, rx: 9.5, fill: one.color, stroke: one.ink });
  make(at, 'text', { y: 4.5, fill: one.ink }, one.id);
}

function dot(x, y, positive, k) {
  const at = make(marks, 'g', { class: positive ? 'dot plus' : 'dot minus', transform: `translate(${x} ${y}) scale(${k})` });
  make(at, 'circle', { r: 7 });
  make(at, 'path', { d: positive ? 'M-3.5 0h7M0-3.5v7' : 'M-3.5 0h7' });
}

function place(event) {
  const box = frame.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * seen.width, y = (event.clientY - box.top) / box.height * seen.height;
  return [Math.min(Math.max(Math.floor(x), 0), seen.width - 1), Math.min(Math.max(Math.floor(y), 0), seen.height - 1)];
}

function under([x, y]) {
  const box = frame.getBoundingClientRect();
  const hit = document.elementsFromPoint(box.left + x / seen.width * box.width, box.top + y / seen.height * box.height);
  const path = hit.find((one) => one.dataset && one.dataset.id && one.closest('svg') === masks);
  return path ? Number(path.dataset.id) : null;
}

function choose(id) {
  seen.active = id;
  seen.points = [];
  draw();
}

function clicked(at) {
  if (seen.busy) return;
  const [x, y] = at;
  switch (mode()) {
    case 'select': return choose(under(at));
    case 'add': return point(x, y, true, seen.active);
    case 'remove': return point(x, y, false, under(at) ?? seen.active);
    case 'box':
      if (!corner) { corner = at; hint.textContent = 'Now the opposite corner.'; return band(at); }
      return box(corner, at);
  }
}

function point(x, y, positive, active) {
  dot(x, y, positive, scale());
  waiting();
  trigger('point', { x, y, positive, active });
}

function box(from, to) {
  corner = null;
  const edges = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
  if (edges[2] - edges[0] < 3 || edges[3] - edges[1] < 3) return draw(); // a double click
  waiting();
  trigger('box', { box: edges });
}

function band(to) {
  marks.querySelector('.band')?.remove();
  const from = corner || pressed;
  make(marks, 'rect', { class: 'band', x: Math.min(from[0], to[0]), y: Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) });
}

function waiting() { stage.dataset.busy = 'yes'; }

function keep(ids) {
  waiting();
  trigger('keep', { ids });
}

function drop() {
  if (seen.active === null || seen.busy) return;
  keep(seen.masks.filter((one) => one.selected && one.id !== seen.active).map((one) => one.id));
}

function opened(files) {
  const picker = document.querySelector('input[type=file]');
  if (!picker) return;
  if (!files) return picker.click();
  const carried = new DataTransfer();
  carried.items.add(files[0]);
  picker.files = carried.files;
  picker.dispatchEvent(new Event('change', { bubbles: true }));
}

const ACTS = {
  undo: () => { waiting(); trigger('undo'); },
  redo: () => { waiting(); trigger('redo'); },
  drop,
  open: () => opened(null),
  compare: () => { compared = !compared; find('[data-do=compare]').setAttribute('aria-pressed', compared); draw(); },
};

element.addEventListener('click', (event) => {
  const act = event.target.closest('[data-do]'), example = event.target.closest('[data-example]');
  if (act) ACTS[act.dataset.do]();
  if (example) { waiting(); trigger('example', { name: example.dataset.example }); }
});
frame.addEventListener('pointerdown', (event) => { if (event.button === 0) pressed = place(event); });
frame.addEventListener('pointerup', (event) => {
  if (!pressed) return;
  const from = pressed, to = place(event);
  pressed = null;
  cross = null;
  const far = Math.hypot(to[0] - from[0], to[1] - from[1]) > 6 * scale();
  if (mode() === 'box' && far && !corner && !seen.busy) return box(from, to);
  clicked(to);
});
frame.addEventListener('pointermove', (event) => {
  const at = place(event);
  if (mode() === 'box' && (corner || pressed)) band(at);
  const over = mask(under(at));
  light(over ? over.id : null);
  tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
  tip.style.left = `${at[0] / seen.width * 100}%`;
  tip.style.top = `${at[1] / seen.height * 100}%`;
});
frame.addEventListener('pointerleave', () => { tip.textContent = ''; light(null); });
frame.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) {
    const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(seen.width, seen.height) / 40));
    cross = cross || [seen.width / 2, seen.height / 2];
    cross = [Math.min(Math.max(cross[0] + way[0] * far, 0), seen.width - 1), Math.min(Math.max(cross[1] + way[1] * far, 0), seen.height - 1)];
    draw();
    if (corner) band(cross);
    const over = mask(under(cross));
    tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
    tip.style.left = `${cross[0] / seen.width * 100}%`;
    tip.style.top = `${cross[1] / seen.height * 100}%`;
  } else if (event.key === 'Enter' || event.key === ' ') {
    if (cross) clicked(cross);
  } else if (event.key === 'Delete' || event.key === 'Backspace') {
    drop();
  } else if (event.key === 'Escape') {
    corner = null;
    choose(null);
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

function light(id) {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === id);
  window.dispatchEvent(new CustomEvent('sam3-lit', { detail: id }));
}
window.addEventListener('sam3-light', (event) => {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === event.detail);
});
window.addEventListener('sam3-choose', (event) => choose(event.detail));
window.addEventListener('sam3-keep', (event) => keep(event.detail));

const editable = (target) => target.closest('textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), [contenteditable]');
document.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || editable(event.target)) return;
  event.preventDefault();
  const act = find(event.shiftKey ? '[data-do=redo]' : '[data-do=undo]');
  if (!act.disabled) act.click();
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith('image/'));
  if (files.length) { event.preventDefault(); opened(files); }
});
for (const kind of ['dragenter', 'dragover'])
  document.addEventListener(kind, (event) => { event.preventDefault(); stage.dataset.drag = 'yes'; });
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) stage.dataset.drag = 'no'; });
document.addEventListener('drop', (event) => {
  event.preventDefault();
  stage.dataset.drag = 'no';
  if (event.dataTransfer.files.length) opened(event.dataTransfer.files);
});

// gradio's arrows are buttons without a name, inside of a button that has one
new MutationObserver(() => {
  for (const arrow of document.querySelectorAll('#chat .thought-group .arrow button:not([aria-hidden])')) {
    arrow.setAttribute('aria-hidden', 'true');
    arrow.tabIndex = -1;
  }
}).observe(document.querySelector('#chat') || document.body, { childList: true, subtree: true });

// says when the server is gone; another one does not know this page, which then begins anew
let home = null, gone = null;
async function listen() {
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
  setTimeout(listen, 3000);
}
listen();

for (const one of props.examples || []) {
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.example = one.name;
  button.title = one.about;
  const picture = document.createElement('img');
  picture.src = one.url;
  picture.alt = one.about;
  button.appendChild(picture);
  find('.examples').appendChild(button);
}
new ResizeObserver(draw).observe(frame);
watch(['value', 'picture'], show);
show();
