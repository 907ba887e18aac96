// Read and unread by a row's dot (key u), for all that is found, and for what a booking's page shows. That copying and
// opening reads a message is in app.js. A row is [data-row] with the id sms-<id>, unread while it has data-unread.
'use strict';
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const on = (name, act) => document.addEventListener(name, act);
  const meta = (name) => $(`meta[name="${name}"]`)?.content || '';
  const ROW = '[data-row][id^="sms-"]';
  const rowOf = (element) => element.closest?.(ROW);
  const idOf = (row) => row.id.slice(4);
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  // The other windows of this browser look anew at once; those elsewhere by their slow poll.
  const others = window.BroadcastChannel ? new BroadcastChannel('reading') : null;

  // One after the other: "read" and "unread" of a row must not overtake each other. Who leaves meanwhile loses nothing.
  let line = Promise.resolve();
  const waiting = new Set();
  const post = (url, values) => new Promise((done, failed) => {
    const go = () => waiting.delete(go) && send(url, values).then(done, failed);
    waiting.add(go);
    line = line.then(go);
  });
  window.addEventListener('pagehide', () => { for (const go of waiting) go(); });

  async function send(url, values) {
    const body = new URLSearchParams(values);
    const headers = { 'X-CSRFToken': meta('csrf-token'), 'HX-Request': 'true', Accept: 'application/json' };
    // It outlives the page: a click that marks a row may lead away.
    const answer = await fetch(url, { method: 'POST', body, headers, keepalive: true, credentials: 'same-origin' });
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  const nudgeFrame = () => { const frame = $('#shell-panel'); if (frame && window.htmx) htmx.trigger(frame, 'nudge'); };

  async function mark(rows, read) {
    const changed = rows.filter((row) => row.hasAttribute('data-unread') === read);
    if (!changed.length) return;
    for (const row of changed) row.toggleAttribute('data-unread', !read);
    try {
      await post('/inbox/read/', [['read', read ? 1 : 0], ...changed.map((row) => ['id', idOf(row)])]);
      nudgeFrame();
      others?.postMessage('');
    } catch {
      for (const row of changed) row.toggleAttribute('data-unread', read);
      tell('toast', { text: phrase('That could not be saved. Try again.'), level: 'bad' });
    }
  }

  on('click', (event) => {
    const row = event.target.closest('[data-mark]') && rowOf(event.target);
    if (!row) return;
    const read = row.hasAttribute('data-unread');
    mark([row], read);
    $('#announce').textContent = read ? phrase('Marked as read') : phrase('Marked as unread');
  });

  // --- all that the filters find

  on('submit', async (event) => {
    const form = event.target;
    if (form.id !== 'read-all') return;
    event.preventDefault();
    try {
      const { text, undo } = await (await post(form.action, new FormData(form))).json();
      const run = async () => {
        try {
          const answer = await post('/inbox/read-all/undo/', { token: undo });
          tell('toast', { text: (await answer.json()).text });
        } catch {
          tell('toast', { text: phrase('That could not be undone. Try again.'), level: 'bad' });
        }
        moved();
      };
      tell('toast', { text, action: undo ? { label: phrase('Undo'), run } : null });
      moved();
    } catch {
      tell('toast', { text: phrase('That could not be saved. Try again.'), level: 'bad' });
    }
  });

  function moved() {
    tell('changed');
    tell('reread');
    others?.postMessage('');
  }
  if (others) others.onmessage = () => { tell('changed'); tell('reread'); };

  // --- a booking's page shows its messages: they are read once somebody sees it

  const sent = new Set();
  function seen() {
    if (document.hidden || document.body.dataset.page !== 'booking') return;
    const ids = [...document.querySelectorAll('[data-feed] > [id^="sms-"]')].map(idOf).filter((id) => !sent.has(id));
    if (!ids.length) return;
    for (const id of ids) sent.add(id);
    post('/inbox/read/', ids.map((id) => ['id', id])).then(
      () => { nudgeFrame(); others?.postMessage(''); },
      () => { for (const id of ids) sent.delete(id); },
    );
  }
  on('visibilitychange', seen);
  on('htmx:afterSwap', seen);
  seen();
})();
