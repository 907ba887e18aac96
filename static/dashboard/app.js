// What all pages share in the browser: times and countdowns, copying, keys, filters, toasts, menus, theme.
// Everything listens on the document, so fragments that htmx swaps in need no set-up.
'use strict';
(() => {
  const root = document.documentElement;
  // What scripts say, in the language of the page; `{name}` stands for a value. A page that is not in English brings the list.
  const words = JSON.parse(document.getElementById('words')?.textContent || '{}');
  const phrase = window.phrase = (text, values = {}) => (words[text] || text).replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => from.querySelectorAll(selector);
  const meta = (name) => $(`meta[name="${name}"]`)?.content || '';
  const on = (name, act, target = document) => target.addEventListener(name, act);
  const announce = (text) => { const region = $('#announce'); if (region) region.textContent = text; };

  // --- clock: the server's, because countdowns must not depend on how well this machine's clock is set

  let skew = 0;
  const now = () => Date.now() + skew;
  function correct(instant) {
    const off = instant - Date.now();
    // A header has whole seconds and takes its time to come.
    skew = Number.isFinite(off) && Math.abs(off) > 3000 ? off : 0;
  }
  correct(Number(meta('server-time')) * 1000);

  // --- times

  function zone() {
    const wanted = root.dataset.timeZone;
    try { new Intl.DateTimeFormat('en-GB', { timeZone: wanted || undefined }); return wanted || undefined; } catch { return undefined; }
  }
  const timeZone = zone();
  const LOCALE = root.lang === 'de' ? 'de-DE' : 'en-GB';
  const style = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone, ...options });
  const HM = style({ hour: '2-digit', minute: '2-digit' });
  const HMS = style({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const DAY = style({ day: 'numeric', month: 'short' });
  const DATE = style({ day: 'numeric', month: 'short', year: 'numeric' });
  const YEAR = style({ year: 'numeric' });
  const EXACT = style({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' });

  function dayOf(at) {
    if (DATE.format(at) === DATE.format(now())) return 'today';
    if (DATE.format(at) === DATE.format(now() - 86400000)) return 'yesterday';
    return YEAR.format(at) === YEAR.format(now()) ? DAY.format(at) : DATE.format(at);
  }

  function timeText(at, form) {
    const day = dayOf(at), age = now() - at, said = day === 'yesterday' ? phrase('yesterday') : day;
    if (form === 'full') return `${DATE.format(at)}, ${HM.format(at)}`;
    if (form === 'exact') return HMS.format(at);
    if (form === 'clock') return day === 'today' ? HMS.format(at) : `${said} ${HM.format(at)}`;
    const ago = (text) => (form === 'ago' ? phrase('{age} ago', { age: text }) : text);
    if (age < 60000 && age > -60000) return ago(`${Math.max(0, Math.floor(age / 1000))} s`);
    if (age < 3600000 && age > 0) return ago(`${Math.floor(age / 60000)} min`);
    if (day === 'today') return form === 'ago' ? phrase('at {time}', { time: HM.format(at) }) : HM.format(at);
    return /\d{4}$/.test(day) && age > 0 ? day : `${said} ${HM.format(at)}`;
  }

  function leftText(ms) {
    const s = Math.ceil(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (d >= 2) return phrase('{days} d', { days: d });
    if (d) return phrase('1 d {hours} h', { hours: h - 24 });
    return h ? `${h} h ${m % 60} min` : `${m}:${String(s % 60).padStart(2, '0')}`;
  }

  const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const known = new WeakMap();
  function instantOf(element, text) {
    let entry = known.get(element);
    if (entry?.text !== text) known.set(element, entry = { text, at: Date.parse(text) });
    return entry.at;
  }

  function paintTime(element) {
    const at = instantOf(element, element.dateTime);
    if (Number.isNaN(at)) return;
    put(element, timeText(at, element.dataset.rel));
    const exact = EXACT.format(at);
    if (element.title !== exact) element.title = exact;
  }

  function paintCountdown(element) {
    const ends = instantOf(element, element.dataset.ends), starts = Date.parse(element.dataset.starts || '');
    if (Number.isNaN(ends)) return;
    const left = ends - now();
    const share = left <= 0 ? 0 : ends > starts ? Math.min(100, Math.ceil(left / (ends - starts) * 100)) : 100;
    put($('[data-left]', element), left > 0 ? leftText(left) : element.dataset.over || phrase('ended'));
    const ring = $('circle:last-of-type', element), bar = $('progress', element);
    if (ring && ring.getAttribute('stroke-dasharray') !== `${share} 100`) ring.setAttribute('stroke-dasharray', `${share} 100`);
    if (bar && bar.value !== share) bar.value = share;
    element.classList.toggle('warn', left > 90000 && left <= 300000);
    element.classList.toggle('end', left > 0 && left <= 90000);
    element.classList.toggle('over', left <= 0);
    const entry = known.get(element);
    // Its end is no news that anybody tells: ask what became of it. Not for what was over when the page came.
    if (left > 0) entry.ran = true;
    if (left > -1500 || !entry.ran) return;
    entry.ran = false;
    const panel = element.closest('[data-panel]');
    if (panel) htmx.trigger(panel, 'nudge');
  }

  function paintStale(element) {
    const old = now() > instantOf(element, element.dataset.staleAfter);
    element.classList.toggle('stale', old);
    for (const text of $$('[data-stale-text]', element)) text.hidden = !old;
  }

  function paint() {
    if (document.hidden) return;
    $$('time[data-rel]').forEach(paintTime);
    $$('[data-ends]').forEach(paintCountdown);
    $$('[data-stale-after]').forEach(paintStale);
  }
  setInterval(paint, 1000);
  on('visibilitychange', paint);
  for (const name of ['htmx:afterSwap', 'htmx:oobAfterSwap', 'htmx:afterSettle']) on(name, paint);
  on('htmx:afterRequest', (event) => {
    const date = event.detail.xhr?.getResponseHeader('Date');
    if (date) correct(Date.parse(date));
  });

  // --- toasts

  const toasts = new Map();
  function toast(text, level = 'ok', action = null, key = text) {
    const region = $('#toasts');
    if (!region) return;
    toasts.get(key)?.remove();
    const box = document.createElement('div'), words = document.createElement('p'), button = document.createElement('button');
    box.className = `toast ${level}`;
    words.textContent = text;
    button.type = 'button';
    button.textContent = action ? action.label : phrase('Close');
    box.append(words, button);
    const close = () => { box.remove(); toasts.delete(key); };
    button.onclick = () => { close(); action?.run(); };
    while (region.children.length > 2) region.firstChild.remove();
    region.append(box);
    toasts.set(key, box);
    // In the top layer, else an open dialog would cover it.
    if (region.showPopover) { if (region.matches(':popover-open')) region.hidePopover(); region.showPopover(); }
    announce(text);
    setTimeout(close, level === 'bad' || action ? 12000 : 4000);
  }
  on('toast', (event) => toast(event.detail.text, event.detail.level, event.detail.action));

  // --- copying

  async function copyText(text) {
    if (navigator.clipboard) try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed: the old way */ }
    // Plain http to another host has no clipboard API.
    const area = document.createElement('textarea'), back = document.activeElement;
    area.value = text;
    area.className = 'sr';
    area.readOnly = true;
    ($('dialog[open]') || document.body).append(area);
    area.select();
    let done = false;
    try { done = document.execCommand('copy'); } catch { /* told below */ }
    area.remove();
    back?.focus?.({ preventScroll: true });
    return done;
  }

  async function copyFrom(button) {
    if (!await copyText(button.dataset.copy)) {
      toast(phrase('Your browser did not allow copying. Select the text instead.'), 'bad');
      return;
    }
    toast(button.dataset.copied || (button.matches('[data-code]') ? phrase('Code {code} copied', { code: button.dataset.copy }) : phrase('Copied')), 'ok', null, 'copied');
    if (button.matches('[data-code]')) read(rowOf(button));
    const use = $('use', button), before = use?.getAttribute('href');
    button.classList.add('done');
    if (before && !before.endsWith('#check')) {
      use.setAttribute('href', before.replace(/#.*/, '#check'));
      setTimeout(() => { use.setAttribute('href', before); button.classList.remove('done'); }, 1500);
    }
  }

  // --- a message is read when its code is copied or it is opened; reading.js does the rest where it is loaded

  function read(row) {
    if (!row?.hasAttribute('data-unread')) return;
    row.removeAttribute('data-unread');
    const request = { method: 'POST', keepalive: true, headers: { 'X-CSRFToken': meta('csrf-token') }, body: new URLSearchParams({ id: row.id.slice(4) }) };
    const done = (answer) => { if (!answer.ok) throw new Error(answer.status); const frame = $('#shell-panel'); if (frame) htmx.trigger(frame, 'nudge'); };
    fetch('/inbox/read/', request).then(done).catch(() => row.setAttribute('data-unread', ''));
  }

  // --- clicks: copy, dialogs, theme, the bar for new rows

  const showDialog = (id) => { const dialog = document.getElementById(id); if (dialog && !dialog.open) dialog.showModal(); };

  const THEMES = ['', 'light', 'dark'], THEME_WORDS = { '': phrase('as the system'), light: phrase('light'), dark: phrase('dark') };
  const themeText = (theme) => phrase('Theme: {theme}', { theme: THEME_WORDS[theme] });
  function switchTheme() {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || '') + 1) % 3];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    document.cookie = `theme=${next};path=/;max-age=31536000;samesite=lax` + (location.protocol === 'https:' ? ';secure' : '');
    try { localStorage.setItem('theme', next || 'auto'); } catch { /* only the admin reads it */ }
    paintTheme();
    toast(themeText(next), 'ok', null, 'theme');
  }
  function paintTheme() {
    const theme = root.dataset.theme || '';
    for (const button of $$('[data-theme-switch]')) {
      button.title = themeText(theme);
      const use = $('use', button);
      use?.setAttribute('href', use.getAttribute('href').replace(/#.*/, { '': '#monitor', light: '#sun', dark: '#moon' }[theme]));
    }
  }

  on('click', (event) => {
    const find = (selector) => event.target.closest(selector);
    const copy = find('[data-copy]'), opener = find('[data-dialog]');
    if (find('[data-open]')) read(rowOf(event.target));
    if (copy) { event.preventDefault(); copyFrom(copy); }
    else if (opener) { opener.closest('[popover]')?.hidePopover?.(); showDialog(opener.dataset.dialog); }
    else if (find('[data-close]')) (find('dialog') || find('[popover]') || find('.banner'))?.[find('dialog') ? 'close' : find('[popover]') ? 'hidePopover' : 'remove']();
    else if (find('[data-theme-switch]')) switchTheme();
    else if (find('[data-newbar]')) { scrollTo({ top: 0 }); hideNewBar(); }
    else if (event.target.matches('dialog[open]')) event.target.close(); // the backdrop
  });

  // --- menus stand under their button; where it would not fit, above

  on('toggle', (event) => {
    const menu = event.target;
    if (event.newState !== 'open' || !menu.matches?.('.menu, .drop')) return;
    const box = (menu.opener || $(`[popovertarget="${CSS.escape(menu.id)}"]`))?.getBoundingClientRect();
    if (!box || (menu.matches('.drop') && !matchMedia('(min-width: 821px)').matches)) return;
    const below = box.bottom + 4 + menu.offsetHeight < innerHeight;
    menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, root.clientWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${Math.max(8, below ? box.bottom + 4 : box.top - 4 - menu.offsetHeight)}px`;
  }, { addEventListener: (name, act) => document.addEventListener(name, act, true) });
  on('scroll', () => $('.menu:popover-open')?.hidePopover());

  // --- a question or a row's menu that the server just gave; after a change all panels look anew

  on('htmx:afterSwap', (event) => {
    const { target, requestConfig } = event.detail;
    if (target.id === 'ask') $('dialog', target)?.showModal();
    if (target.id !== 'row-menu' || !target.showPopover) return;
    target.opener = requestConfig.elt;
    target.showPopover();
    $('a, button', target)?.focus({ preventScroll: true });
  });
  on('changed', () => { for (const panel of $$('[data-panel]')) htmx.trigger(panel, 'nudge'); });

  // --- keys

  const GO = { o: 'overview', i: 'inbox', b: 'bookings', c: 'catalog', r: 'orders', s: 'status' };
  let goUntil = 0;
  const rows = () => [...$$('[data-row]')].filter((row) => row.getClientRects().length);
  const rowOf = (element) => element?.closest?.('[data-row]');

  function moveRow(step) {
    const list = rows(), at = list.indexOf(rowOf(document.activeElement));
    const row = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    const target = row && ($('[data-open]', row) || $('a, button', row) || row);
    if (target === row) row?.setAttribute('tabindex', '-1');
    target?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: 'nearest' });
  }

  const KEYS = {
    '/': () => $('[data-search]')?.focus(),
    '?': () => showDialog('help'),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    o: () => $('[data-open]', rowOf(document.activeElement) || document)?.click(),
    c: () => { const code = $('[data-code]', rowOf(document.activeElement) || document) || $('[data-code]'); if (code) copyFrom(code); },
    u: () => $('[data-mark]', rowOf(document.activeElement) || document)?.click(),
    g: () => { goUntil = performance.now() + 1200; },
  };

  on('keydown', (event) => {
    const field = event.target.closest('input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]');
    if (event.key === 'Escape') { if (field?.matches('[data-search]')) field.blur(); return; }
    if (field || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $('dialog[open]')) return;
    const going = performance.now() < goUntil;
    goUntil = 0;
    const act = going ? GO[event.key] && (() => $(`[data-nav="${GO[event.key]}"]`)?.click()) : KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // --- htmx: headers, filters, errors, the end of a session

  const isFilter = (element) => element?.matches?.('form[data-filter]');
  const isPanel = (element) => element?.matches?.('[data-panel]');
  // Who asked; an event's own element may be the target or a parent.
  const asker = (event) => event.detail.requestConfig?.elt || event.detail.elt;

  on('htmx:configRequest', (event) => {
    const { elt, verb, headers, parameters } = event.detail;
    if (verb !== 'get') headers['X-CSRFToken'] = meta('csrf-token');
    if (!isFilter(elt)) return;
    for (const name of new Set([...parameters.keys()])) if (parameters.getAll(name).every((value) => !String(value).trim())) parameters.delete(name);
    // Enter after a pause, or a blur: the page shows this already.
    const shown = new URLSearchParams(location.search).toString();
    if (new URLSearchParams([...parameters.entries()]).toString() === shown) event.preventDefault();
  });

  function toLogin() {
    const login = meta('login-url');
    if (login) location.assign(`${login}?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  on('htmx:beforeOnLoad', (event) => {
    const { xhr } = event.detail, login = meta('login-url');
    const sent = login && xhr.responseURL && new URL(xhr.responseURL).pathname === login;
    if (xhr.status === 401 || sent) { event.preventDefault(); toLogin(); }
  });

  const SAID = {
    403: phrase('You may not do this, or this page is too old. Reload it and try again.'),
    404: phrase('This is not here any more. Reload the page.'),
    413: phrase('That was too much to send at once.'),
    429: phrase('Too many requests. Wait a moment, then try again.'),
  };
  function failed(event, text) {
    const { requestConfig } = event.detail, elt = asker(event), key = isPanel(elt) ? 'panel' : text;
    if (key === 'panel' && toasts.has(key)) return;
    const again = isPanel(elt) ? () => htmx.trigger(document.getElementById(elt.id), 'nudge') : isFilter(elt) ? () => htmx.trigger(elt, 'submit') : null;
    // What was meant to change something may have done so although no answer came.
    const advice = requestConfig?.verb === 'get' ? phrase('What you see may be old.') : phrase('Look whether it was done before you try again.');
    toast(SAID[text] || `${text} ${advice}`, 'bad', again && { label: phrase('Try again'), run: again }, key);
  }
  on('htmx:responseError', (event) => {
    const { xhr } = event.detail, code = xhr.status, trouble = xhr.getResponseHeader('X-Trouble');
    failed(event, SAID[code] ? code : code === 503 ? phrase(trouble || 'The server is starting or busy.') : phrase('The server could not answer (error {code}).', { code }));
  });
  on('htmx:sendError', (event) => failed(event, phrase('The server cannot be reached.')));
  on('htmx:timeout', (event) => failed(event, phrase('The server took too long to answer.')));
  on('htmx:afterOnLoad', (event) => {
    if (isPanel(asker(event)) && event.detail.xhr.status < 400) { toasts.get('panel')?.remove(); toasts.delete('panel'); }
  });

  // --- morphing keeps what the person is doing

  if (window.Idiomorph) {
    const defaults = Idiomorph.defaults;
    defaults.ignoreActiveValue = true;
    // What a person has chosen in a filter is newer than any answer on its way.
    // What is being edited stays until it is saved or left.
    defaults.callbacks.beforeNodeMorphed = (old) => !(old.matches?.('form:is([data-filter], [data-keep]) :is(input, select, textarea), [data-panel] [data-hold]'));
    // Set by the browser or by this file, unknown to the server.
    defaults.callbacks.beforeAttributeUpdated = (name, element) => !(
      (name === 'open' && element.matches('details, dialog')) || (name === 'style' && element.matches('.menu, .drop'))
    );
  }

  // --- rows that arrive while the page is open

  let before = null, waiting = 0, held = null;
  function hideNewBar() { waiting = 0; const bar = $('[data-newbar]'); if (bar) bar.hidden = true; }
  const feedIds = (panel) => [...$$('[data-feed] > [id]', panel)].map((row) => row.id);
  const topOf = (row) => row.getBoundingClientRect().top;

  on('htmx:beforeSwap', (event) => {
    const elt = asker(event), { target } = event.detail;
    const panel = isPanel(elt) && target.id === elt.id ? target : null;
    before = panel && { id: panel.id, ids: new Set(feedIds(panel)) };
    // Where the page asks for it, what is being read stays where it is, whichever panel grows above it.
    const bar = $('.top')?.offsetHeight || 0;
    const row = panel && scrollY > 160 && $('[data-keep-place]') && rows().find((each) => each.getBoundingClientRect().bottom > bar);
    held = row ? { id: row.id, top: topOf(row) } : null;
  });
  on('htmx:afterSwap', () => {
    const row = held && document.getElementById(held.id);
    if (row) scrollBy({ top: topOf(row) - held.top, behavior: 'instant' });
    held = null;
    const panel = before && document.getElementById(before.id);
    if (!panel) return;
    const { ids } = before, list = feedIds(panel);
    before = null;
    const last = list.findIndex((id) => ids.has(id)), added = list.slice(0, last < 0 ? list.length : last);
    if (!added.length) return;
    for (const id of added) document.getElementById(id).classList.add('fresh');
    const noun = (count) => phrase(count === 1 ? '{count} new message' : '{count} new messages', { count });
    announce(noun(added.length));
    const bar = $('[data-newbar]');
    if (bar && scrollY > 160) { waiting += added.length; bar.textContent = noun(waiting); bar.hidden = false; }
  });
  on('scroll', () => { if (waiting && scrollY < 120) hideNewBar(); });

  paintTheme();
  paint();
})();
